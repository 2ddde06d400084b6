"""What a definition that could run may surprise its author with. Warnings refuse nothing."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

import msgspec
from jsonpath.segments import JSONPathChildSegment
from jsonpath.selectors import NameSelector

from services.workflow import limits
from services.workflow.domain.language.certain_results import Results, goes_on_after_failure, takes_some
from services.workflow.domain.language.definition import Definition, EventTrigger
from services.workflow.domain.language.error_codes import ERROR_CODES, EXECUTION, can_fail_with
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.exposure_warnings import exposure_warnings
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.placeholders import Placeholder, parse_text
from services.workflow.domain.language.placement import Place, places_of
from services.workflow.domain.language.retry import RetrySettings
from services.workflow.domain.language.shapes import fields_of_output, fields_of_result
from services.workflow.domain.language.syntax import parse_query
from services.workflow.domain.language.templates import examine_template
from shared.errors import FieldFault


def warnings_of(definition: Definition) -> list[FieldFault]:
    """Return the warnings about a definition that `parse_definition` accepted, in its order; at most 100."""
    return list(islice(_Reading(definition).warnings(), limits.MAX_REPORTED_FAULTS))


class _Reading:
    """One reading of one definition."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._places = list(places_of(definition.steps))
        self._by_name = {place.step.name: place for place in self._places}
        self._results = Results()
        self._parts: dict[int, dict[str, Place]] = {}
        for place in self._places:
            if place.holder is not None and place.branch is not None and place.branch.concurrent:
                parts = self._parts.setdefault(id(place.holder), {})
                parts[f"step_{place.index}"] = parts[place.step.name] = place

    def warnings(self) -> Iterator[FieldFault]:
        definition = self._definition
        yield from _codes("", definition.retry, None)
        for place in self._places:
            yield from self._constants(place)
            yield from self._timeouts(place)
            yield from _codes(place.path, place.step.retry, place.step.type)
            yield from _attempts(place)
            yield from _mappings(place)
            for field, value in place.step.templates().items():
                yield from self._template(value, join_path(place.path, field), place)
        if definition.output is not None:
            yield from self._template(definition.output, "output", None)
        yield from exposure_warnings(definition, self._places)
        for index, trigger in enumerate(definition.triggers):
            if isinstance(trigger, EventTrigger) and trigger.condition is not None:
                constant = self._results.foregone(trigger.condition).constant
                if constant is not None:
                    what = "this trigger starts on every event" if constant else "this trigger never starts anything"
                    yield _constant(f"triggers[{index}].condition", constant=constant, so=what)

    def _constants(self, place: Place) -> Iterator[FieldFault]:
        for field, text in place.step.conditions().items():
            constant = self._results.foregone(text).constant
            if constant is None:
                continue
            name = place.step.name
            if field == "when":
                so = f"the step {name!r} is never skipped" if constant else f"the step {name!r} never runs"
            elif hasattr(place.step, "if_true"):
                so = f"the branch {'if_false' if constant else 'if_true'!r} is never taken"
            else:
                so = "it decides nothing"
            yield _constant(f"{place.path}.{field}", constant=constant, so=so)
        chooser = getattr(place.step, "switch", None)
        if chooser is not None and examine_template(chooser)[0].is_static:
            message = "this is the same each time: all branches but one can never be reached"
            yield fault(f"{place.path}.switch", message, "constant_condition")

    def _timeouts(self, place: Place) -> Iterator[FieldFault]:
        *holders, _ = place.line()
        around: list[tuple[float, str]] = [(self._definition.timeout_seconds, "the execution")]
        around += [(h.step.timeout_seconds, repr(h.step.name)) for h in holders if h.step.timeout_seconds is not None]
        least, whose = min(around)
        own = place.step.timeout_seconds
        if own is not None and own > least:
            message = f"{whose} times out first, after {least:g} seconds"
            yield fault(f"{place.path}.timeout_seconds", message, "timeout_exceeds")
        if own is not None and own <= least:
            least, whose = own, "the step"
        seconds = getattr(place.step, "seconds", None)
        if isinstance(seconds, int | float) and seconds >= least:
            message = f"this delay cannot end: {whose} times out after {least:g} seconds"
            yield fault(f"{place.path}.seconds", message, "timeout_exceeds")

    def _template(self, value: Any, path: str, source: Place | None) -> Iterator[FieldFault]:
        for where, placeholder in _placeholders(value, path):
            target = self._by_name.get(placeholder.root)
            if target is not None and (source is None or target not in source.line()):
                yield from self._reference(placeholder, where, target, source)

    def _reference(
        self, placeholder: Placeholder, path: str, target: Place, source: Place | None
    ) -> Iterator[FieldFault]:
        text, position = placeholder.text, placeholder.position
        first = placeholder.keys[0] if placeholder.keys else None
        known = fields_of_output(target.step)
        if first is not None and known is not None and first not in known and not self._is_error(target, first):
            there = ", ".join(sorted(known)[: limits.MAX_REPORTED_NAMES]) or "nothing"
            message = f"{text} refers to nothing: the output of {target.step.name!r} has {there}"
            yield fault(path, message, "field_unknown", position)
            return
        # A filter before it would be given nothing, and fail.
        if placeholder.filters and placeholder.filters[0].name == "default":
            return
        why = self._results.why_missing(target, source) or self._why_part_missing(target, first, source)
        if why is not None:
            yield fault(path, f"{text} may be missing: it {why}; {_MEND}", "may_be_missing", position)
        elif goes_on_after_failure(target.step) and first is not None:
            if self._results.mentioned(target.step.name, source):
                return
            only = "is there only if it failed" if first == "error" else "is not there if it failed"
            message = f"{text} may be missing: {target.step.name!r} goes on after a failure, and this {only}; {_MEND}"
            yield fault(path, message, "may_be_missing", position)

    def _is_error(self, target: Place, first: str | int) -> bool:
        return first == "error" and goes_on_after_failure(target.step)

    def _why_part_missing(self, target: Place, first: str | int | None, source: Place | None) -> str | None:
        """Return why an output of a `parallel` may lack the part that is asked for: by name, or as `step_0`."""
        part = None if target.step.output_mapping else self._parts.get(id(target), {}).get(str(first))
        if part is None:
            return None
        if takes_some(target.step):
            return f"may be among those that {target.step.name!r} does not wait for"
        if goes_on_after_failure(part.step):
            return f"is left out if {part.step.name!r} fails"
        return self._results.why_missing(part, source)


_MEND = "give it a default, as in {x.y | default(null)}"


def _constant(path: str, *, constant: bool, so: str) -> FieldFault:
    return fault(path, f"this is always {'true' if constant else 'false'}: {so}", "constant_condition")


def _placeholders(value: Any, path: str) -> Iterator[tuple[str, Placeholder]]:
    """Yield the placeholders of a valid template, in its order."""
    stack: list[tuple[Any, str]] = [(value, path)]
    while stack:
        item, where = stack.pop()
        if isinstance(item, str):
            if "{" in item:
                yield from ((where, part) for part in parse_text(item) if isinstance(part, Placeholder))
        elif isinstance(item, dict):
            stack.extend((child, join_path(where, key)) for key, child in reversed(item.items()))
        elif isinstance(item, list):
            stack.extend((item[index], join_path(where, index)) for index in reversed(range(len(item))))


def _codes(path: str, settings: RetrySettings | None, step_type: str | None) -> Iterator[FieldFault]:
    if settings is None:
        return
    at = join_path(path, "retry")
    for field in ("retry_on", "never_on"):
        for index, code in enumerate(getattr(settings, field) or ()):
            if code not in ERROR_CODES:
                near = get_close_matches(code, ERROR_CODES, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                yield fault(f"{at}.{field}[{index}]", f"no step fails with {code!r}{hint}", "error_code_unknown")
            elif ERROR_CODES[code] == {EXECUTION}:
                message = f"{code!r} ends an execution: no step fails with it"
                yield fault(f"{at}.{field}[{index}]", message, "error_code_unknown")
            elif step_type is not None and not can_fail_with(step_type, code):
                message = f"a step of the type {step_type!r} does not fail with {code!r}"
                yield fault(f"{at}.{field}[{index}]", message, "error_code_unknown")
    wanted, refused = set(settings.retry_on or ()), set(settings.never_on or ())
    if wanted and wanted <= refused:
        yield fault(f"{at}.retry_on", "never_on has all of these codes, and wins", "retry_never")
    elif wanted & refused:
        both = ", ".join(sorted(wanted & refused))
        yield fault(f"{at}.retry_on", f"never_on has {both} too, and wins", "retry_never")


def _attempts(place: Place) -> Iterator[FieldFault]:
    settings, retries = place.step.retry, place.step.max_retries
    if settings is None or (settings.max_attempts != 1 and retries != 0):
        return
    if msgspec.structs.replace(settings, max_attempts=None) != RetrySettings():
        message = "there is one attempt, so that nothing else here has an effect"
        yield fault(f"{place.path}.retry", message, "retry_never")


def _mappings(place: Place) -> Iterator[FieldFault]:
    known = fields_of_result(place.step)
    if known is None:
        return
    for field, text in place.step.output_mapping.items():
        query = parse_query(text)
        segment = query.segments[0] if query.segments else None
        if not query.singular_query() or not isinstance(segment, JSONPathChildSegment):
            continue
        selector = segment.selectors[0]
        if isinstance(selector, NameSelector) and selector.name not in known:
            there = ", ".join(sorted(known)[: limits.MAX_REPORTED_NAMES]) or "nothing"
            message = f"this always fails: the result has no {selector.name!r}; it has {there}"
            yield fault(join_path(place.path, "output_mapping", field), message, "mapping_never_resolves")
