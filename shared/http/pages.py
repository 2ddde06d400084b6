"""Lists: `?offset&limit` with a total, `?cursor` (keyset) for deep ones."""

import base64
import binascii
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from litestar.params import Parameter

from shared.errors import InvalidInput
from shared.limits import PAGE_DEFAULT, PAGE_MAX, WORD_MAX_CHARS
from shared.paging import Place

Offset = Annotated[int, Parameter(ge=0, le=10_000, description="Rows to skip; beyond 10,000 use `cursor`.")]
Limit = Annotated[int, Parameter(ge=1, le=PAGE_MAX, description="Rows to return.")]
Word = Annotated[str | None, Parameter(max_length=WORD_MAX_CHARS, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Parameter(description="`next_cursor` of the page before.", max_length=64)]

T = TypeVar("T")

DEFAULT_LIMIT = PAGE_DEFAULT
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def cut(rows: Sequence[T], limit: int, place: Callable[[T], Place]) -> tuple[Sequence[T], str | None]:
    """Cut `limit` rows from the `limit + 1` that were read; return them and, if one was left over, the next cursor."""
    shown = rows[:limit]
    return shown, encode_place(place(shown[-1])) if len(rows) > limit else None


def encode_place(last: Place) -> str:
    """Return the cursor of the page after the row at `last`."""
    microseconds = (last.at - _EPOCH) // dt.timedelta(microseconds=1)
    return base64.urlsafe_b64encode(microseconds.to_bytes(8) + last.id.bytes).decode()


def decode_place(cursor: str | None) -> Place | None:
    """Return the place that a cursor stands for."""
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor)
        return Place(_EPOCH + dt.timedelta(microseconds=int.from_bytes(raw[:8])), UUID(bytes=raw[8:]))
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidInput("cursor is not one that this API gave out.") from error
