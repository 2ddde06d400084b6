"""What answers of this API have in common."""

from typing import Any, TypeVar
from uuid import UUID

from litestar import Request, Response

from services.tenant.app.ports import ApiKeyRow, Page, TenantRow, UserRow, Window
from shared.http.idempotency import key_of
from shared.http.pages import decode_cursor, encode_cursor
from shared.ids import derived_id, new_id
from shared.scope import TenantScope

T = TypeVar("T")


def created_id(request: Request[Any, Any, Any], scope: TenantScope, kind: str) -> UUID:
    """Return the new thing's id: the same for the same Idempotency-Key, so that a repeat finds what the first made.

    Bodies and answers of these routes hold passwords and keys, so they are not kept as other services keep theirs.
    """
    key = key_of(request)
    return new_id() if key is None else derived_id(kind, scope.tenant_id, key)


def created(body: T, location: str, position: int) -> Response[T]:
    """Return a 201 that nobody may cache."""
    headers = {"Location": location, "Cache-Control": "no-store", **at(position)}
    return Response(body, status_code=201, headers=headers)


def at(position: int) -> dict[str, str]:
    """Return the header that names the event of a write; nothing if there was none."""
    return {"X-Event-Position": str(position)} if position else {}


def window(offset: int, limit: int, cursor: str | None) -> Window:
    """Return the stretch of a list that a request asks for."""
    return Window(limit, offset, decode_cursor(cursor))


def next_cursor(page: Page[Any], limit: int) -> str | None:
    """Return the cursor of the next page, None on the last."""
    last: list[TenantRow | UserRow | ApiKeyRow] = page.rows[-1:]
    return encode_cursor(last[0].id) if len(page.rows) == limit else None
