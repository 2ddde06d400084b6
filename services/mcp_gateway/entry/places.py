"""Cursors of the list of servers. Ids of servers are not all time-ordered, so a place in it is a time and an id."""

import base64
import binascii
import datetime as dt
from uuid import UUID

from services.mcp_gateway.app.reading import Place
from shared.errors import InvalidInput

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_TIME_BYTES = 8


def encode_place(place: Place) -> str:
    """Return the cursor of the page after a place."""
    microseconds = (place.created_at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(microseconds.to_bytes(_TIME_BYTES) + place.id.bytes).decode()


def decode_place(cursor: str | None) -> Place | None:
    """Return the place that a cursor stands for."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        created_at = _EPOCH + int.from_bytes(raw[:_TIME_BYTES]) * _MICROSECOND
        return Place(created_at, UUID(bytes=raw[_TIME_BYTES:]))
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidInput("cursor is not one that this API gave out.") from error
