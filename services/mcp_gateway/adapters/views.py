"""What lists and single views show: the registry with health and counters, and the history of calls."""

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.adapters.registry import server_of
from services.mcp_gateway.app.reading import CallFilter, CallRow, ServerFilter, ServerRow
from services.mcp_gateway.app.sightings import Listed, Sighting
from services.mcp_gateway.domain.screening import Finding
from services.mcp_gateway.limits import MIB, OUTPUT_LISTED_MAX_BYTES, RESULT_MAX_BYTES
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.paging import Place
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "registry.sql")


class _Asked(msgspec.Struct):
    arguments: dict[str, Any]


class _Ended(msgspec.Struct):
    result: Any = None
    findings: tuple[Finding, ...] = ()


_asked = msgspec.json.Decoder(_Asked).decode
_ended = msgspec.json.Decoder(_Ended).decode


class Views:
    """Reads for requests, as row-level security shows them. `Reads`, and also the `SightingStore`."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def servers(
        self, scope: TenantScope, wanted: ServerFilter, limit: int, offset: int = 0, after: Place | None = None
    ) -> tuple[list[ServerRow], int]:
        """Return a page of servers in the order of their registration, and how many there are in all."""
        narrowing = (wanted.id, wanted.status, wanted.category, wanted.server_type)
        place = after or (None, None)
        async with self._pool.connection(scope) as connection:
            rows = await connection.fetch(_sql.list_page, *narrowing, *place, limit, offset)
            total = await connection.fetchval(_sql.count_matching, *narrowing)
        return [_server_row(row) for row in rows], total

    async def calls(
        self, scope: TenantScope, wanted: CallFilter, limit: int, offset: int, before: Place | None
    ) -> tuple[list[CallRow], int]:
        """Return a page of calls, the latest first, and how many there are in all."""
        narrowing = (wanted.server_id, wanted.tool_name, wanted.status)
        async with self._pool.connection(scope) as connection:
            rows = await connection.fetch(
                _sql.executions_page,
                None,
                *narrowing,
                *(before or (None, None)),
                limit,
                offset,
                OUTPUT_LISTED_MAX_BYTES,
            )
            total = await connection.fetchval(_sql.count_executions, *narrowing)
        return [_call_row(row) for row in rows], total

    async def call(self, scope: TenantScope, call_id: UUID) -> CallRow | None:
        """Return one call in full."""
        async with self._pool.connection(scope) as connection:
            whole = 2 * RESULT_MAX_BYTES + MIB
            row = await connection.fetchrow(_sql.executions_page, call_id, *[None] * 5, 1, 0, whole)
        return None if row is None else _call_row(row)

    async def save_health(self, scope: TenantScope, server_id: UUID, seen: Sighting) -> None:
        async with self._pool.connection(scope) as connection:
            await connection.execute(
                _sql.save_health,
                *(scope.tenant_id, server_id, seen.health_status, seen.checked_at, seen.latency_ms),
                seen.error_message,
            )

    async def save_offer(self, scope: TenantScope, server_id: UUID, seen: Listed) -> None:
        encoded = (msgspec.json.encode(each).decode() for each in (seen.tools, seen.resources, seen.prompts))
        async with self._pool.connection(scope) as connection:
            await connection.execute(_sql.save_offer, server_id, *encoded)


def _server_row(row: Any) -> ServerRow:
    return ServerRow(
        server=server_of(row),
        health_status=row["health_status"] or "unknown",
        checked_at=row["checked_at"],
        latency_ms=row["latency_ms"],
        error_message=row["error_message"],
        tools=msgspec.json.decode(row["tools"]) if row["tools"] else [],
        resources=msgspec.json.decode(row["resources"]) if row["resources"] else [],
        prompts=msgspec.json.decode(row["prompts"]) if row["prompts"] else [],
        total=row["total"] or 0,
        successful=row["successful"] or 0,
        failed=row["failed"] or 0,
    )


def _call_row(row: Any) -> CallRow:
    values = dict(row)
    asked, ended = values.pop("asked"), values.pop("ended")
    end = _ended(ended) if ended else _Ended()
    return CallRow(
        **values,
        tool_input=_asked(asked).arguments if asked else None,
        tool_output=end.result,
        findings=end.findings,
    )
