"""A stored definition in the order in which people read one: the name first, and what steps hold last in each."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from services.workflow.domain.language.decoding import Decoder
from services.workflow.domain.language.paths import split_path
from services.workflow.domain.language.placement import Place, places_of
from services.workflow.domain.language.steps import StepBase

_HEAD = ("name", "slug", "description", "tags", "category", "version", "triggers", "expose_as_tool", "input_schema")
_TAIL = ("steps", "output")
_STEP_HEAD = ("type", "name", "when")
_STEP_TAIL = tuple(name for name in StepBase.__struct_fields__ if name not in _STEP_HEAD)


def presented(definition: dict[str, Any]) -> dict[str, Any]:
    """Return a definition with its own fields in a fixed order; all values, and the order within them, stay.

    One that today's platform cannot read is returned as it is stored.
    """
    decoder = Decoder()
    places = list(places_of(decoder.definition(definition).steps))
    if decoder.faults:
        return definition
    holding: dict[int, list[str]] = {}
    for place in places:
        holding.setdefault(id(place.holder), []).append(field_that_holds(place))
    top = _ordered(deepcopy(definition), _HEAD, _TAIL)
    for place in places:  # holders come before what they hold
        container: Any = top
        *way, last = split_path(place.path)
        for key in way:
            container = container[key]
        tail = (*_STEP_TAIL, *holding.get(id(place), ()))
        container[last] = _ordered(container[last], _STEP_HEAD, tail)
    return top


def field_that_holds(place: Place) -> str:
    """Return the field of a place's holder that the place is in (`steps` at the top)."""
    holder = () if place.holder is None else split_path(place.holder.path)
    return str(split_path(place.path)[len(holder)])


def _ordered(members: dict[str, Any], first: Sequence[str], last: Sequence[str]) -> dict[str, Any]:
    """Return a copy: `first`, then what neither list names, then `last`."""
    between = [name for name in members if name not in first and name not in last]
    return {name: members[name] for name in (*first, *between, *dict.fromkeys(last)) if name in members}
