"""The filters of placeholders, a closed set. Only `default` accepts a value that is missing."""

from collections.abc import Callable
from typing import Any

import msgspec

from services.workflow.domain.language.errors import TemplateFilterFailed, TemplateTooLarge
from services.workflow.domain.language.placeholders import Literal
from services.workflow.limits import MAX_RENDERED_CHARS

Apply = Callable[..., Any]


class _Missing:
    """The value of a reference to nothing, until a `default` replaces it or rendering fails."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


class Filter(msgspec.Struct, frozen=True):
    """A function of the value and its literal arguments, and how many arguments it takes."""

    apply: Apply
    least: int = 0
    most: int = 0


def as_text(value: Any) -> str:
    """Return how a value reads inside text: strings as they are, everything else as compact JSON."""
    return value if type(value) is str else msgspec.json.encode(value).decode()


def bounded(size: int) -> None:
    """Raise `TemplateTooLarge` when `size` characters are more than a template may render to."""
    if size > MAX_RENDERED_CHARS:
        raise TemplateTooLarge(f"A template rendered to more than {MAX_RENDERED_CHARS:,} characters.")


def _refuse(name: str, needed: str, value: Any) -> TemplateFilterFailed:
    return TemplateFilterFailed(
        f"The filter {name!r} needs {needed}, and got {json_type(value)}.",
        details={"filter": name, "type": json_type(value)},
    )


def json_type(value: Any) -> str:
    """Return the JSON name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), type(value).__name__)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse(name, "text", value)
    return value


def _json(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    bounded(len(text))
    return text


def _length(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise _refuse("length", "text, a list or an object", value)
    return len(value)


def _first(value: Any) -> Any:
    if not isinstance(value, list):
        raise _refuse("first", "a list", value)
    return value[0] if value else MISSING


def _last(value: Any) -> Any:
    if not isinstance(value, list):
        raise _refuse("last", "a list", value)
    return value[-1] if value else MISSING


def _join(value: Any, separator: Literal = ", ") -> str:
    if not isinstance(value, list):
        raise _refuse("join", "a list", value)
    between = _text("join", separator)
    texts = [as_text(item) for item in value]
    bounded(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


FILTERS: dict[str, Filter] = {
    "json": Filter(_json),
    "length": Filter(_length),
    "upper": Filter(lambda value: _text("upper", value).upper()),
    "lower": Filter(lambda value: _text("lower", value).lower()),
    "trim": Filter(lambda value: _text("trim", value).strip()),
    "first": Filter(_first),
    "last": Filter(_last),
    "join": Filter(_join, most=1),
    "default": Filter(lambda value, other: other if value is MISSING or value is None else value, least=1, most=1),
}
