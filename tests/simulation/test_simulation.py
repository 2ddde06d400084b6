"""A thousand seeds of the simulation, and whether it would see a bug if there were one."""

import pytest

from tests.simulation.plants import PLANTS
from tests.simulation.story import first_failing, run, story

SEEDS = 1_000
BLOCK = 50


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_nothing_that_may_never_happen_does(first: int) -> None:
    failed = first_failing(range(first, first + BLOCK))
    if failed is not None:
        pytest.fail(story(failed), pytrace=False)


@pytest.mark.parametrize("seed", [3, 17, 42])
def test_a_seed_tells_the_same_story_each_time(seed: int) -> None:
    assert run(seed, traced=True).trace == run(seed, traced=True).trace


@pytest.mark.parametrize(
    "bug",
    [
        "answer-before-commit",
        "no-wait-for-batch-on-its-way",
        "children-not-cancelled",
        "result-lost-in-pause",
        "rivals-not-heard-of",
    ],
)
def test_a_bug_that_is_put_in_is_found(bug: str) -> None:
    failed = first_failing(range(400), PLANTS[bug])
    assert failed is not None
    told = story(failed, PLANTS[bug])
    assert f"python -m tests.simulation --seed {failed.seed} --plant {bug} -v" in told
    assert "run again" not in told
