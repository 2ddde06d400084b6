"""Placeholders compiled to closures over the execution's context. The hot path of the engine: no parsing, one try."""

from collections.abc import Callable, Mapping
from typing import Any

from services.workflow.domain.language.errors import TemplateUnresolved
from services.workflow.domain.language.filters import FILTERS, MISSING, Apply
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.placeholders import FilterCall, Literal, Placeholder, PlaceholderInvalid
from services.workflow.limits import MAX_REPORTED_NAMES

Context = Mapping[str, Any]
Render = Callable[[Context], Any]


def compile_placeholder(placeholder: Placeholder) -> Render:
    """Return the closure that gives the placeholder's value with its type kept, or raises `TemplateUnresolved`."""
    if not placeholder.filters:
        return _strict_lookup(placeholder)
    steps = [_checked(call) for call in placeholder.filters]
    look = _lenient_lookup(placeholder)

    def filtered(context: Context) -> Any:
        value = look(context)
        for accepts_missing, apply, arguments in steps:
            if value is MISSING and not accepts_missing:
                raise _unresolved(placeholder, context)
            value = apply(value, *arguments)
        if value is MISSING:
            raise _unresolved(placeholder, context)
        return value

    return filtered


def _checked(call: FilterCall) -> tuple[bool, Apply, tuple[Literal, ...]]:
    known = FILTERS.get(call.name)
    if known is None:
        raise PlaceholderInvalid(f"there is no filter {call.name!r}; there are {', '.join(FILTERS)}", call.position)
    if not known.least <= len(call.arguments) <= known.most:
        wanted = str(known.least) if known.least == known.most else f"{known.least} to {known.most}"
        raise PlaceholderInvalid(
            f"the filter {call.name!r} takes {wanted} arguments, not {len(call.arguments)}", call.position
        )
    if call.name == "join" and call.arguments and not isinstance(call.arguments[0], str):
        raise PlaceholderInvalid("the separator of 'join' is a text", call.position)
    return call.name == "default", known.apply, call.arguments


def _strict_lookup(placeholder: Placeholder) -> Render:
    root, keys = placeholder.root, placeholder.keys
    if any(isinstance(key, int) for key in keys):
        return _indexed_lookup(placeholder)
    if len(keys) == 1:
        only = keys[0]

        def member(context: Context) -> Any:
            try:
                return context[root][only]
            except (KeyError, TypeError):
                raise _unresolved(placeholder, context) from None

        return member

    def members(context: Context) -> Any:
        try:
            value = context[root]
            for key in keys:
                value = value[key]
        except (KeyError, TypeError):  # a text key into a list, text, number or null is a TypeError
            raise _unresolved(placeholder, context) from None
        return value

    return members


def _indexed_lookup(placeholder: Placeholder) -> Render:
    look = _lenient_lookup(placeholder)

    def indexed(context: Context) -> Any:
        value = look(context)
        if value is MISSING:
            raise _unresolved(placeholder, context)
        return value

    return indexed


def _lenient_lookup(placeholder: Placeholder) -> Render:
    root, keys = placeholder.root, placeholder.keys

    def look(context: Context) -> Any:
        value = context.get(root, MISSING)
        for key in keys:
            value = _child(value, key)
        return value

    return look


def _child(value: Any, key: str | int) -> Any:
    """Return the member or element, or MISSING. Text has no elements here: JSON has none either."""
    if isinstance(key, str):
        return value.get(key, MISSING) if isinstance(value, dict) else MISSING
    if isinstance(value, list) and -len(value) <= key < len(value):
        return value[key]
    return MISSING


def _unresolved(placeholder: Placeholder, context: Context) -> TemplateUnresolved:
    """Return the error that says how far the reference leads and which names exist there (never values)."""
    value = context.get(placeholder.root, MISSING)
    if value is MISSING:
        return TemplateUnresolved(placeholder.text, repr(placeholder.root), context)
    so_far = placeholder.root
    for key in placeholder.keys:
        child = _child(value, key)
        if child is MISSING:
            return TemplateUnresolved(placeholder.text, f"{key!r} in {so_far!r}", _names_in(value))
        value, so_far = child, join_path(so_far, key)
    return TemplateUnresolved(placeholder.text, f"first or last element in {so_far!r}", ())


def _names_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list):
        return [f"[{index}]" for index in range(min(len(value), MAX_REPORTED_NAMES + 1))]
    return []
