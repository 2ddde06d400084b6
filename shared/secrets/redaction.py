"""Takes values of secrets out of what is said of a failure: others wrote those texts, and may repeat what they got."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from shared.errors import FieldFault, PlatformError
from shared.limits import SECRET_REDACTED_HEAD_CHARS, SECRET_REDACTED_MIN_CHARS


class Redaction:
    """Puts the reference where a value stands, as it is or as URLs, JSON and Python write it.

    A long value is known by its beginning, since texts are cut. Values of fewer than `SECRET_REDACTED_MIN_CHARS`
    characters stay: they would be found in every word. As a context it cleans the `PlatformError` that leaves it.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._said = _forms((value, name) for name, value in values.items())

    @classmethod
    def of(cls, names: Iterable[tuple[str, str]]) -> "Redaction":
        """Return one of pairs of a value and its name; names may repeat, since tenants choose them."""
        redaction = cls({})
        redaction._said = _forms(names)
        return redaction

    def __bool__(self) -> bool:
        return bool(self._said)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, PlatformError):
            self.clean(error)

    def text(self, text: str) -> str:
        """Return the text without the values."""
        for value, reference in self._said:
            head = value[:SECRET_REDACTED_HEAD_CHARS]
            at = text.find(head)
            while at >= 0:
                end = at + _common(text, at, value)
                text = text[:at] + reference + text[end:]
                at = text.find(head, at + len(reference))
        return text

    def data(self, value: Any) -> Any:
        """Return a value of JSON without them, the keys of its objects included; None if it is nested too deeply."""
        if not self._said:
            return value
        try:
            return self._cleaned(value)
        except RecursionError:
            return None

    def _cleaned(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case list() | tuple():
                return [self._cleaned(item) for item in value]
            case dict():
                return {self._cleaned(key): self._cleaned(item) for key, item in value.items()}
            case _:
                return value

    def clean(self, error: PlatformError) -> None:
        """Take the values out of an error that is on its way, and cut it loose from what caused it."""
        if not self._said:
            return
        error.message = self.text(error.message)
        error.args = (error.message,)
        error.details = self.data(error.details) or {}
        error.faults = [FieldFault(f.path, self.text(f.message), f.code, f.position) for f in error.faults]
        error.__cause__ = error.__context__ = None


def forms_of(value: str) -> set[str]:
    """Return how a value may be written in a text, if it is long enough to be looked for."""
    in_json = msgspec.json.encode(value).decode()[1:-1]
    forms = {
        value,
        value.strip(),
        quote(value, safe=""),
        quote(value),
        repr(value)[1:-1],
        in_json,
        repr(value.encode())[2:-1],
    }
    return {form for form in forms if len(form) >= SECRET_REDACTED_MIN_CHARS}


def _common(text: str, at: int, value: str) -> int:
    """Return how many characters of the value stand at that place."""
    longest = min(len(value), len(text) - at)
    return next((number for number in range(longest) if text[at + number] != value[number]), longest)


def _forms(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    said: dict[str, str] = {}
    for value, name in names:
        for form in forms_of(value):
            said.setdefault(form, f"{{secret.{name}}}")
    # The longest first: one value may be a part of another.
    return sorted(said.items(), key=lambda item: -len(item[0]))


NOTHING_SECRET = Redaction({})
