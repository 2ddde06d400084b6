"""Takes values of secrets out of what is said of a failure: others wrote those texts, and may repeat what they got."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from shared.errors import FieldFault, PlatformError
from shared.limits import SECRET_REDACTED_HEAD_CHARS, SECRET_REDACTED_MIN_CHARS

_FEW = 64


class Redaction:
    """Puts the reference where a value stands, as it is or as URLs, JSON and Python write it.

    A long value is known by its beginning, since texts are cut. Values of fewer than `SECRET_REDACTED_MIN_CHARS`
    characters stay: they would be found in every word. As a context it cleans the `PlatformError` that leaves it.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        # By their first characters: a text is gone through once, however many values there are.
        self._forms: dict[str, list[tuple[str, str]]] = {}
        for name, value in values.items():
            self.add(forms_of(value), name)

    def add(self, forms: Iterable[str], name: str) -> None:
        """Take these out as well, which `forms_of` gave for the value of the secret of this name."""
        for form in forms:
            self._forms.setdefault(form[:SECRET_REDACTED_MIN_CHARS], []).append((form, f"{{secret.{name}}}"))

    def __bool__(self) -> bool:
        return bool(self._forms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, PlatformError):
            self.clean(error)

    def text(self, text: str) -> str:
        """Return the text without the values."""
        if len(self._forms) <= _FEW and not any(head in text for head in self._forms):
            return text
        pieces: list[str] = []
        kept = 0
        for at in range(len(text) - SECRET_REDACTED_MIN_CHARS + 1):
            if text[at : at + SECRET_REDACTED_MIN_CHARS] in self._forms and at >= kept:
                length, reference = self._at(text, at)
                if length:
                    pieces += (text[kept:at], reference)
                    kept = at + length
        return "".join((*pieces, text[kept:]))

    def data(self, value: Any) -> Any:
        """Return a value of JSON without them, the keys of its objects included; None if it is nested too deeply."""
        if not self._forms:
            return value
        try:
            return self._cleaned(value)
        except RecursionError:
            return None

    def clean(self, error: PlatformError) -> None:
        """Take the values out of an error that is on its way, and cut it loose from what caused it."""
        if not self._forms:
            return
        error.message = self.text(error.message)
        error.args = (error.message,)
        error.details = self.data(error.details) or {}
        error.faults = [FieldFault(f.path, self.text(f.message), f.code, f.position) for f in error.faults]
        error.__cause__ = error.__context__ = None

    def _at(self, text: str, at: int) -> tuple[int, str]:
        """Return how long the longest value at a place is, 0 if there is none, and its reference."""
        found = 0, ""
        for form, reference in self._forms.get(text[at : at + SECRET_REDACTED_MIN_CHARS], ()):
            common = _common(text, at, form)
            if common >= min(len(form), SECRET_REDACTED_HEAD_CHARS) and common > found[0]:
                found = common, reference
        return found

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


def forms_of(value: str) -> frozenset[str]:
    """Return how a value may be written in a text, if it is long enough to be looked for."""
    in_json = msgspec.json.encode(value).decode()[1:-1]
    in_python = repr(value)[1:-1], repr(value.encode())[2:-1]
    forms = {value, value.strip(), quote(value, safe=""), quote(value), in_json, *in_python}
    return frozenset(form for form in forms if len(form) >= SECRET_REDACTED_MIN_CHARS)


def _common(text: str, at: int, value: str) -> int:
    """Return how many characters of the value stand at that place."""
    longest = min(len(value), len(text) - at)
    return next((number for number in range(longest) if text[at + number] != value[number]), longest)


NOTHING_SECRET = Redaction({})
