"""Rows as JSON, and how many of them."""

import math
from typing import Any

import msgspec

from services.mcp_gateway.limits import DATABASE_RESULT_MAX_BYTES
from services.mcp_gateway.servers.tools import ToolRefused

_SAFE_INTEGER = 2**53 - 1


def json_value(value: Any) -> Any:
    """Return a column's value as JSON can hold it; `shapes.QUERY` documents the rule."""
    result: Any
    match value:
        case None | str() | bool():
            result = value
        case int():
            result = value if abs(value) <= _SAFE_INTEGER else str(value)
        case float():
            result = value if math.isfinite(value) else _not_finite(value)
        case bytes() | bytearray():
            result = "\\x" + value.hex()
        case list() | tuple():
            result = [json_value(item) for item in value]
        case dict():
            result = {name: json_value(item) for name, item in value.items()}
        case _:
            result = str(value)
    return result


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


class Rows:
    """The rows of one result, up to both caps."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._rows: list[list[Any]] = []
        self._bytes = 0
        self.truncated = False

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def room(self) -> int:
        """How many more rows may come, if they are as long as those that are here."""
        if not self._rows:
            return 1
        average = self._bytes // len(self._rows) + 1
        # One more than is shown tells whether there are more.
        return min(self._max_rows - len(self._rows) + 1, (DATABASE_RESULT_MAX_BYTES - self._bytes) // average + 1)

    def add(self, row: Any) -> bool:
        """Take a row. False if it is beyond a cap; then `truncated` is set. Raises `result_too_large` for the first."""
        if len(self._rows) >= self._max_rows:
            self.truncated = True
            return False
        try:
            values = [json_value(value) for value in row]
            size = len(msgspec.json.encode(values))
        except RecursionError:
            raise too_large() from None
        if self._bytes + size > DATABASE_RESULT_MAX_BYTES:
            if not self._rows:
                raise too_large()
            self.truncated = True
            return False
        self._bytes += size
        self._rows.append(values)
        return True

    def result(self, columns: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "columns": columns,
            "rows": self._rows,
            "row_count": len(self._rows),
            "truncated": self.truncated,
        }


def too_large() -> ToolRefused:
    return ToolRefused(
        "result_too_large",
        f"One row alone is larger than {DATABASE_RESULT_MAX_BYTES} bytes as JSON. "
        "Select fewer columns, or parts of long values with substr().",
    )
