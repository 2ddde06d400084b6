"""What answers of this API have in common."""

from typing import Any, TypeVar

import msgspec
from litestar import Request, Response

from services.tenant.app.ports import ApiKeyRow, Claim, Page, SecretDigester, SecretRow, TenantRow, UserRow, Window
from shared.http.idempotency import key_of
from shared.http.pages import decode_place, encode_place
from shared.ids import derived_id, new_id
from shared.paging import Place
from shared.scope import TenantScope

T = TypeVar("T")


def claim_of(request: Request[Any, Any, Any], data: msgspec.Struct, scope: TenantScope, kind: str) -> Claim:
    """Return the new thing's id: the same for the same Idempotency-Key, so that a repeat finds what the first made.

    Not `shared.http.idempotency.once`: bodies of these routes hold passwords and secrets, and an answer holds a key.
    `once` keeps answers as they are, and of bodies a hash by which a password could be guessed. Here a keyed digest of
    the whole body is written in the transaction that makes the thing, and a repeat is answered from the thing itself.
    """
    key = key_of(request)
    if key is None:
        return Claim(new_id())
    digest: SecretDigester = request.app.state.request_digest
    said = msgspec.json.encode(data, order="deterministic").decode()
    return Claim(derived_id(kind, scope.tenant_id, key), digest(said))


def created(body: T, location: str, position: int) -> Response[T]:
    """Return a 201 that nobody may cache."""
    headers = {"Location": location, "Cache-Control": "no-store", **at(position)}
    return Response(body, status_code=201, headers=headers)


def at(position: int) -> dict[str, str]:
    """Return the header that names the event of a write; nothing if there was none."""
    return {"X-Event-Position": str(position)} if position else {}


def window(offset: int, limit: int, cursor: str | None) -> Window:
    """Return the stretch of a list that a request asks for."""
    return Window(limit, offset, decode_place(cursor))


def next_cursor(page: Page[Any], limit: int) -> str | None:
    """Return the cursor of the next page, None on the last."""
    last: list[TenantRow | UserRow | ApiKeyRow | SecretRow] = page.rows[-1:]
    return encode_place(Place(last[0].created_at, last[0].id)) if len(page.rows) == limit else None
