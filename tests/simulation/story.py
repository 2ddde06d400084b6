"""What a failing seed tells whoever has to look at it."""

from collections.abc import Iterator

from tests.simulation.plants import NOTHING, Plant
from tests.simulation.simulation import Outcome, simulate

LINES = 120


def run(seed: int, plant: Plant = NOTHING, *, traced: bool = False) -> Outcome:
    """Run one seed, with a bug put in if one is given."""
    with plant.put_in():
        return simulate(seed, plant.classes, traced=traced)


def first_failing(seeds: range, plant: Plant = NOTHING) -> Outcome | None:
    """Return what came of the first seed that fails; None if none does."""
    return next((outcome for outcome in (run(seed, plant) for seed in seeds) if outcome.violations), None)


def story(failed: Outcome, plant: Plant = NOTHING, *, lines: int = LINES) -> str:
    """Return what was violated, how to run that seed alone, and how it came to that: the seed is run once more."""
    again = run(failed.seed, plant, traced=True)
    options = f" --plant {plant.name}" if plant.name else ""
    return "\n".join(_told(failed, again, options, lines))


def _told(failed: Outcome, again: Outcome, options: str, lines: int) -> Iterator[str]:
    yield f"Seed {failed.seed} fails. To run it alone, with its whole story:"
    yield f"  python -m tests.simulation --seed {failed.seed}{options} -v"
    if again.violations != failed.violations:
        yield "It does not fail in the same way when it is run again: the simulation itself depends on something else."
    for violation in failed.violations:
        yield f"- {violation}"
    trace = again.trace or []
    if len(trace) > lines:
        yield f"… {len(trace) - lines} lines before"
    for seconds, what in trace[-lines:]:
        yield f"{seconds:9.3f}  {what}"
