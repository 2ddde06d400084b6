"""Takes values of secrets out of what is said of a failure: others wrote those texts, and may repeat what they got."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from shared.errors import FieldFault, PlatformError
from shared.limits import SECRET_REDACTED_MIN_CHARS


class Redaction:
    """Puts the reference where a value stands, as it is or percent-encoded.

    Values of fewer than `SECRET_REDACTED_MIN_CHARS` characters stay: they would be found in every word.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        said: dict[str, str] = {}
        for name, value in values.items():
            for form in (value, value.strip(), quote(value, safe=""), quote(value), repr(value)[1:-1]):
                if len(form) >= SECRET_REDACTED_MIN_CHARS:
                    said.setdefault(form, f"{{secret.{name}}}")
        # The longest first: one value may be a part of another.
        self._said = sorted(said.items(), key=lambda item: -len(item[0]))

    def text(self, text: str) -> str:
        """Return the text without the values."""
        for value, reference in self._said:
            text = text.replace(value, reference)
        return text

    def data(self, value: Any) -> Any:
        """Return a value of JSON without them, the keys of its objects included."""
        match value:
            case str():
                return self.text(value)
            case list() | tuple():
                return [self.data(item) for item in value]
            case dict():
                return {self.data(key): self.data(item) for key, item in value.items()}
            case _:
                return value

    def clean(self, error: PlatformError) -> None:
        """Take the values out of an error that is on its way, and cut it loose from what caused it."""
        if not self._said:
            return
        error.message = self.text(error.message)
        error.args = (error.message,)
        error.details = self.data(error.details)
        error.faults = [FieldFault(f.path, self.text(f.message), f.code, f.position) for f in error.faults]
        error.__cause__ = error.__context__ = None
