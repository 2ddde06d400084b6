"""How doctor writes down who owns which partitions."""

import pytest

from infra.cli.shares import _ranges


@pytest.mark.parametrize(
    ("numbers", "written"),
    [([], "none"), ([3], "3"), ([0, 1, 2], "0-2"), ([0, 2, 3, 9], "0, 2-3, 9"), (list(range(32)), "0-31")],
)
def test_numbers_are_written_as_ranges(numbers: list[int], written: str) -> None:
    assert _ranges(numbers) == written
