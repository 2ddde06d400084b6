"""Plain JSON to the structs of a definition, field by field, so that one reading finds every structural fault.

msgspec alone stops at the first. Whatever cannot be read is filled with something harmless, and its path is remembered
in `broken`, so that the rules of `validation` can still be applied to all the rest.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from services.workflow import limits
from services.workflow.domain.language.definition import TRIGGER_TYPES, Definition, Trigger
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.filters import json_type
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.steps import ON_ERROR, STEP_TYPES, Step, TransformStep
from shared.errors import FieldFault

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)

_WHERE = re.compile(r" - at `(?:key` in `)?\$(?P<path>[^`]*)`\Z")


class Decoder:
    """One reading of one definition."""

    def __init__(self) -> None:
        self.faults: list[FieldFault] = []
        self.broken: list[str] = []
        self.names_in_broken: set[str] = set()
        self._steps = 0

    def definition(self, raw: dict[str, Any]) -> Definition:
        found: dict[str, Any] = {}
        if "steps" in raw:
            found["steps"] = self._steps_of(self._list(raw, "steps"), "steps", 1)
        if "triggers" in raw:
            read = (self._trigger(held, f"triggers[{at}]") for at, held in enumerate(self._list(raw, "triggers")))
            found["triggers"] = [trigger for trigger in read if trigger is not None]
        return self._struct(Definition, raw, "", found)

    def _list(self, raw: dict[str, Any], field: str) -> list[Any]:
        held = raw[field]
        if isinstance(held, list):
            return held
        self._fault(field, f"expected an array, got {json_type(held)}", "wrong_type")
        return []

    def _steps_of(self, raw: list[Any], path: str, level: int) -> list[Step]:
        room = limits.MAX_STEPS - self._steps
        if len(raw) > room:
            self._fault("steps", f"a definition has at most {limits.MAX_STEPS:,} steps", "too_many_steps")
        return [self._step(step, f"{path}[{index}]", level) for index, step in enumerate(raw[: max(room, 0)])]

    def _step(self, raw: Any, path: str, level: int) -> Step:
        self._steps += 1
        if level > limits.MAX_STEP_NESTING:
            self._give_up(raw, path, f"steps are nested at most {limits.MAX_STEP_NESTING} deep", "nesting_too_deep")
            return _stand_in(raw)
        step_type = self._type(raw, path, STEP_TYPES, "step")
        if step_type is None:
            return _stand_in(raw)
        found: dict[str, Any] = {}
        for branch in step_type.holds:
            held = raw.get(branch.field)
            at = join_path(path, branch.field)
            if branch.field not in raw or (branch.field == ON_ERROR and isinstance(held, str)):
                continue
            if not branch.keyed:
                found[branch.field] = self._held(held, at, level + 1, single=branch.single)
            elif isinstance(held, dict):
                found[branch.field] = {
                    key: self._held(steps, join_path(at, key), level + 1, single=branch.single)
                    for key, steps in held.items()
                }
            else:
                self._fault(at, f"expected an object of lists of steps, got {json_type(held)}", "wrong_type")
                found[branch.field] = {}
        return self._struct(step_type, raw, path, found)

    def _held(self, held: Any, path: str, level: int, *, single: bool) -> Step | list[Step]:
        if isinstance(held, list):
            return self._steps_of(held, path, level)
        if isinstance(held, dict) and single:
            return self._step(held, path, level)
        wanted = "a step or a list of steps" if single else "a list of steps"
        self._fault(path, f"expected {wanted}, got {json_type(held)}", "wrong_type")
        return []

    def _trigger(self, raw: Any, path: str) -> Trigger | None:
        trigger_type = self._type(raw, path, TRIGGER_TYPES, "trigger")
        return None if trigger_type is None else self._struct(trigger_type, raw, path, {})

    def _type(self, raw: Any, path: str, types: Mapping[str, type[AnyStruct]], what: str) -> type[AnyStruct] | None:
        if not isinstance(raw, dict):
            self._give_up(raw, path, f"expected an object, got {json_type(raw)}", "wrong_type")
            return None
        name = raw.get("type")
        known = types.get(name) if isinstance(name, str) else None
        if known is None:
            said = f"there is no {what} type {name!r}" if "type" in raw else f"a {what} needs a 'type'"
            self._give_up(raw, path, f"{said}; there are {', '.join(types)}", f"unknown_{what}_type")
        return known

    def _struct(self, kind: type[AnyStruct], raw: dict[str, Any], path: str, found: dict[str, Any]) -> AnyStruct:
        """Build a struct from `raw`, with the fields that were read already in `found`."""
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        tag_field = kind.__struct_config__.tag_field
        for name in raw:
            if name not in fields and name != tag_field:
                self._fault(join_path(path, name), f"unknown field{self._hint(name, fields)}", "unknown_field")
        for name, field in fields.items():
            if name in found:
                continue
            at = join_path(path, name)
            if name in raw:
                try:
                    found[name] = msgspec.convert(raw[name], field.type)
                    continue
                except msgspec.ValidationError as error:
                    self._refused(str(error), at)
            elif field.required:
                self._fault(at, "this field is required", "missing_field")
            if field.required:
                found[name] = [] if name in _LISTS else ""
        return kind(**{fields[name].name: value for name, value in found.items()})

    def _refused(self, message: str, path: str) -> None:
        where = _WHERE.search(message)
        if where is not None:
            message = message[: where.start()]
            self.broken.append(path)
            path += where["path"].replace("[...]", "")
        self._fault(path, message, next((code for words, code in _CODES if words in message), "out_of_range"))

    def _hint(self, name: str, known: Collection[str]) -> str:
        # The search for a near name is slow, and nobody reads the hundredth hint.
        near = get_close_matches(name, known, n=1) if len(self.faults) < limits.MAX_REPORTED_FAULTS else []
        return f"; did you mean {near[0]!r}?" if near else ""

    def _give_up(self, raw: Any, path: str, message: str, code: str) -> None:
        self._fault(path, message, code)
        self.names_in_broken.update(_names_within(raw))

    def _fault(self, path: str, message: str, code: str) -> None:
        self.faults.append(fault(path, message, code))
        self.broken.append(path)


# How msgspec's sentences map to our codes.
_CODES = (("got `", "wrong_type"), ("unknown field", "unknown_field"), ("missing required", "missing_field"))

_LISTS = frozenset({"steps"})


def _stand_in(raw: Any) -> Step:
    """Return a step in the place of one that cannot be read, so that names and positions around it stay right."""
    name = raw.get("name") if isinstance(raw, dict) else None
    return TransformStep(name=name if isinstance(name, str) else "")


def _names_within(raw: Any) -> Iterator[str]:
    """Yield what may be names of steps in a part that cannot be read: references to them are not called unknown."""
    stack = [raw]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("name"), str):
                yield item["name"]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
