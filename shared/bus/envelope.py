"""A message on a hot subject carries a list: one item when idle, up to 64 under load.

That is what makes the cost of a message (parsing, middlewares, a task) small beside that of its items.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import msgspec

from shared.errors import InvalidInput
from shared.limits import ENVELOPE_MAX_BYTES, ENVELOPE_MAX_ITEMS

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class EnvelopeDecoder(Generic[T]):
    """Decodes list messages of one item type."""

    def __init__(self, item: type[T]) -> None:
        self._decode = msgspec.json.Decoder(list[item]).decode  # type: ignore[valid-type]

    def __call__(self, body: bytes) -> list[T]:
        """Return the items; raises `InvalidInput` with the path of the first fault."""
        try:
            return self._decode(body)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"The message is not a list of what this subject takes: {error}") from error
        except RecursionError as error:
            raise InvalidInput("The message is nested too deeply.") from error


def encode_item(item: object) -> bytes:
    """Return one item as JSON."""
    return _encoder.encode(item)


def pack(items: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bodies of as few list messages as the bounds on items and bytes allow."""
    batch: list[bytes] = []
    size = 0
    for item in items:
        if batch and (len(batch) == ENVELOPE_MAX_ITEMS or size + len(item) > ENVELOPE_MAX_BYTES):
            yield b"[" + b",".join(batch) + b"]"
            batch, size = [], 0
        batch.append(item)
        size += len(item)
    if batch:
        yield b"[" + b",".join(batch) + b"]"
