"""What changed from one definition to another: steps by name, wherever they stand, and the fields of both by path."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal

import msgspec

from services.workflow.domain.language.comparison import equal
from services.workflow.domain.language.decoding import Decoder
from services.workflow.domain.language.errors import DefinitionInvalid
from services.workflow.domain.language.paths import join_path, split_path
from services.workflow.domain.language.placement import Place, places_of
from services.workflow.domain.language.presentation import field_that_holds
from services.workflow.limits import MAX_DIFF_CHANGES

Kind = Literal["added", "removed", "changed"]


class FieldChange(msgspec.Struct, frozen=True):
    """A field that one side lacks or that differs; `path` is relative to the step, or to the definition."""

    path: str
    kind: Kind
    before: Any = None
    after: Any = None


class StepChange(msgspec.Struct, frozen=True):
    """What became of a step. A step that was moved and changed has two entries. Paths are those in the definitions."""

    step: str
    kind: Literal["added", "removed", "changed", "moved"]
    type: str
    before_path: str | None = None
    after_path: str | None = None
    fields: list[FieldChange] = []


class DefinitionDiff(msgspec.Struct, frozen=True):
    """The changes of the definition's own fields and of its steps. `truncated`: there are more than are listed."""

    definition: list[FieldChange]
    steps: list[StepChange]
    truncated: bool = False


class _Side:
    """One of the two definitions, taken apart: its head, and each step by name with the fields that are its own."""

    def __init__(self, raw: dict[str, Any]) -> None:
        decoder = Decoder()
        definition = decoder.definition(raw)
        places = list(places_of(definition.steps))
        if decoder.faults:
            raise DefinitionInvalid(decoder.faults)
        self.definition = definition
        self.head = {name: value for name, value in raw.items() if name != "steps"}
        self.places: dict[str, Place] = {place.step.name: place for place in places}
        held: dict[int, set[str]] = {}
        for place in places:
            held.setdefault(id(place.holder), set()).add(field_that_holds(place))
        self.own: dict[str, dict[str, Any]] = {}
        for place in places:
            whole, holds = _at(raw, place.path), held.get(id(place), ())
            self.own[place.step.name] = {name: value for name, value in whole.items() if name not in holds}

    def home(self, name: str) -> tuple[str, tuple[str | int, ...]]:
        """Return in which list a step stands: its holder's name, and the field (and case) of the holder."""
        place = self.places[name]
        if place.holder is None:
            return "", ()
        way = split_path(place.path)[len(split_path(place.holder.path)) :]
        return place.holder.step.name, tuple(part for part in way if isinstance(part, str))

    def lists(self, names: Iterable[str]) -> dict[tuple[str, tuple[str | int, ...]], list[str]]:
        """Return `names`, in their order here, by the list in which they stand."""
        wanted = set(names)
        found: dict[tuple[str, tuple[str | int, ...]], list[str]] = {}
        for name in self.places:
            if name in wanted:
                found.setdefault(self.home(name), []).append(name)
        return found


def diff(before: dict[str, Any], after: dict[str, Any]) -> DefinitionDiff:
    """Compare two stored definitions. Raises `DefinitionInvalid` for one that today's platform cannot read.

    At most `MAX_DIFF_CHANGES` changes are given, in all.
    """
    old, new = _Side(before), _Side(after)
    heads = _said(old.head, old.definition, new.head), _said(new.head, new.definition, old.head)
    head = list(islice(_fields(*heads), MAX_DIFF_CHANGES + 1))
    room = MAX_DIFF_CHANGES - len(head)
    steps: list[StepChange] = []
    for step in _steps(old, new):
        room -= 1 + len(step.fields)
        if room < 0:
            break
        steps.append(step)
    return DefinitionDiff(head[:MAX_DIFF_CHANGES], steps, truncated=room < 0)


def _steps(old: _Side, new: _Side) -> Iterator[StepChange]:
    for name, place in old.places.items():
        if name not in new.places:
            yield StepChange(name, "removed", place.step.type, before_path=place.path)
    moved = _moved(old, new)
    for name, place in new.places.items():
        was = old.places.get(name)
        if was is None:
            yield StepChange(name, "added", place.step.type, after_path=place.path)
            continue
        if name in moved:
            yield StepChange(name, "moved", place.step.type, was.path, place.path)
        own, its = old.own[name], new.own[name]
        both = _said(own, was.step, its), _said(its, place.step, own)
        fields = list(islice(_fields(*both), MAX_DIFF_CHANGES + 1))
        if fields:
            yield StepChange(name, "changed", place.step.type, was.path, place.path, fields)


def _moved(old: _Side, new: _Side) -> set[str]:
    """Return the steps that stand in another list, and the fewest whose order in theirs explains the rest."""
    kept = [name for name in new.places if name in old.places]
    moved = {name for name in kept if old.home(name) != new.home(name)}
    stayed = [name for name in kept if name not in moved]
    rank = {name: index for index, name in enumerate(old.places)}
    for names in new.lists(stayed).values():
        moved.update(set(names) - _longest_rising(names, rank))
    return moved


def _longest_rising(names: list[str], rank: Mapping[str, int]) -> set[str]:
    """Return a longest subsequence of `names` whose ranks rise."""
    tails: list[int] = []
    ends: list[str] = []
    before: dict[str, str | None] = {}
    for name in names:
        place = bisect_left(tails, rank[name])
        before[name] = ends[place - 1] if place else None
        tails[place : place + 1] = [rank[name]]
        ends[place : place + 1] = [name]
    rising: set[str] = set()
    last = ends[-1] if ends else None
    while last is not None:
        rising.add(last)
        last = before[last]
    return rising


def _fields(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name not in after:
                yield FieldChange(join_path(path, name), "removed", before=value)
        for name, value in after.items():
            if name in before:
                yield from _fields(before[name], value, join_path(path, name))
            else:
                yield FieldChange(join_path(path, name), "added", after=value)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _fields(old, new, join_path(path, index))
    elif not equal(before, after):
        yield FieldChange(path, "changed", before, after)


def _said(raw: dict[str, Any], struct: msgspec.Struct, other: Collection[str]) -> dict[str, Any]:
    """Return `raw` without what it alone says and what is so by default: to say it or not is no difference."""
    alone = raw.keys() - other
    defaults = {
        field.name: field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(struct)
        if field.name in alone and not field.required
    }
    return {name: value for name, value in raw.items() if name not in defaults or not equal(value, defaults[name])}


def _at(value: Any, path: str) -> Any:
    for key in split_path(path):
        value = value[key]
    return value
