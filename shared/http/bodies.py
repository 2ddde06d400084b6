"""Requests whose body is no JSON in a way that the decoder reports by other errors than its own."""

from typing import Any

from litestar import Request
from litestar.exceptions import SerializationException


class JsonRequest(Request[Any, Any, Any]):
    """A request; bytes that are no UTF-8, and nesting deeper than the decoder goes, are as malformed as any."""

    async def json(self) -> Any:
        """Return the body. Raises `SerializationException`, which is answered with 400."""
        try:
            return await super().json()
        except UnicodeDecodeError as error:
            raise SerializationException("The body is not UTF-8.") from error
        except RecursionError as error:
            raise SerializationException("The body is nested too deeply.") from error
