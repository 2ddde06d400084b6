"""Which HTTP statuses count as success: numbers and ranges such as `[200, "300-304"]`."""

import re
from collections.abc import Iterable

_RANGE = re.compile(r"([1-5][0-9]{2})-([1-5][0-9]{2})\Z")
_LOWEST, _HIGHEST = 100, 599


def status_ranges(statuses: Iterable[int | str]) -> list[tuple[int, int]]:
    """Return (first, last) pairs, both inclusive. Raises `ValueError` with a sentence for the user."""
    ranges = [_range(status) for status in statuses]
    if not ranges:
        raise ValueError("at least one status is expected")
    return ranges


def _range(status: int | str) -> tuple[int, int]:
    if isinstance(status, int):
        if not _LOWEST <= status <= _HIGHEST:
            raise ValueError(f"{status} is no HTTP status: they go from {_LOWEST} to {_HIGHEST}")
        return status, status
    match = _RANGE.match(status)
    if match is None or match.group(1) > match.group(2):
        raise ValueError(f"{status!r} is no range of HTTP statuses such as '200-399'")
    return int(match.group(1)), int(match.group(2))
