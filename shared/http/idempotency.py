"""`Idempotency-Key`: the same key and body get the same answer for 24 hours; the same key with another body, 422."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request, Response

from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.errors import Conflict, InvalidInput, PlatformError, Unprocessable
from shared.ids import new_id
from shared.limits import IDEMPOTENCY_CLAIM, IDEMPOTENCY_KEY_MAX, IDEMPOTENCY_PURGE_S, IDEMPOTENCY_TTL
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "idempotency.sql")
_UNANSWERED = (0, -1)
_KEPT_HEADERS = ("location", "x-event-position", "etag")


class KeyReused(Unprocessable):
    """The key was used before, with another request."""

    code = "idempotency_key_reused"


class StillRunning(Conflict):
    """The first request with this key has not been answered yet."""

    code = "idempotency_in_progress"


def key_of(request: Request[Any, Any, Any]) -> str | None:
    """Return the request's key; raises `InvalidInput` if it is empty or longer than 255 characters."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= IDEMPOTENCY_KEY_MAX:
        raise InvalidInput(f"Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_MAX} characters.")
    return key


async def once(
    request: Request[Any, Any, Any],
    scope: TenantScope,
    pool: TenantPool,
    handle: Callable[[UUID], Awaitable[Response[Any]]],
) -> Response[Any]:
    """Answer by `handle`, or as the first time if the request's key was seen.

    `handle` is given the id of what it makes. The key is claimed before, with that id, and answered after. If the
    process dies between, the claim lapses after a minute and `handle` runs again with the same id, which makes it the
    same thing and not a second one. A refusal (an exception) is not kept: the caller may mend the cause and use the
    key again; unmended, the request keeps its id, since a refusal can come from an outage behind a finished work.
    """
    key = key_of(request)
    if key is None:
        return await handle(new_id())
    key = f"{request.method} {request.url.path} {key}"
    digest = hashlib.sha256(await request.body()).digest()
    async with pool.connection(scope) as connection:
        resource_id = await connection.fetchval(
            _sql.claim, scope.tenant_id, key, digest, new_id(), IDEMPOTENCY_TTL, IDEMPOTENCY_CLAIM
        )
        if resource_id is None:
            return _repeat(await connection.fetchrow(_sql.read, scope.tenant_id, key), digest)
    try:
        response = await handle(resource_id)
    except PlatformError:
        async with pool.connection(scope) as connection:
            await connection.execute(_sql.release, scope.tenant_id, key, digest)
        raise
    body = response.content if isinstance(response.content, bytes) else msgspec.json.encode(response.content)
    kept = {k.lower(): v for k, v in response.headers.items() if k.lower() in _KEPT_HEADERS}
    status = response.status_code or 200
    async with pool.connection(scope) as connection:
        await connection.execute(
            _sql.complete, scope.tenant_id, key, status, body, msgspec.json.encode(kept).decode(), digest
        )
    return response


async def purge(pool: "asyncpg.Pool[Any]") -> None:
    """Remove what is no longer kept, now and then, for ever."""
    while True:
        await pool.execute(_sql.purge, IDEMPOTENCY_TTL)
        await asyncio.sleep(IDEMPOTENCY_PURGE_S)


def _repeat(row: Any, digest: bytes) -> Response[Any]:
    if row is not None and row["request_hash"] != digest:
        raise KeyReused("This Idempotency-Key was used before with another body.")
    if row is None or row["status"] in _UNANSWERED:
        raise StillRunning("The first request with this Idempotency-Key is still being worked on.", retry_after=1)
    headers = {**msgspec.json.decode(row["headers"]), "idempotent-replayed": "true"}
    return Response(bytes(row["body"]), status_code=row["status"], headers=headers, media_type="application/json")
