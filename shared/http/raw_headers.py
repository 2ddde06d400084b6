"""Headers as ASGI gives them: pairs of bytes, the names in lower case. For what is looked at in every request."""

from collections.abc import Iterable


def header_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return the value of the first header of this name."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None
