"""Lists: `?offset&limit` with a total, `?cursor` (keyset) for deep ones."""

import base64
import binascii
from typing import Annotated
from uuid import UUID

from litestar.params import Parameter

from shared.errors import InvalidInput
from shared.limits import PAGE_DEFAULT, PAGE_MAX

Offset = Annotated[int, Parameter(ge=0, le=10_000, description="Rows to skip; beyond 10,000 use `cursor`.")]
Limit = Annotated[int, Parameter(ge=1, le=PAGE_MAX, description="Rows to return.")]
Cursor = Annotated[str | None, Parameter(description="`next_cursor` of the page before.", max_length=64)]

DEFAULT_LIMIT = PAGE_DEFAULT


def encode_cursor(last: UUID) -> str:
    """Return the cursor of the page after the row `last` (ids are time-ordered, so they are the key)."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> UUID | None:
    """Return the id that a cursor stands for."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("cursor is not one that this API gave out.") from error
