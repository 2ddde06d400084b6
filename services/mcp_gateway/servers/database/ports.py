"""What the tools need of a database."""

from typing import Any, Protocol


class Database(Protocol):
    """A database to be read. All methods raise `ToolRefused`."""

    kind: str
    """The engine's name as people write it."""

    def close(self) -> None:
        """Drop what is open, without waiting."""
        ...

    async def query(self, sql: str, parameters: list[Any], max_rows: int) -> dict[str, Any]:
        """Run one reading statement; the result is of `shapes.QUERY`."""
        ...

    async def tables(self, schema: str | None) -> list[dict[str, Any]]:
        """List what can be read, as `shapes.TABLES` has it. An unknown schema is empty."""
        ...

    async def columns(self, schema: str | None, table: str | None) -> list[dict[str, Any]]:
        """Describe one table, or all of a schema, as `shapes.DESCRIBED` has it. What cannot be found is left out."""
        ...
