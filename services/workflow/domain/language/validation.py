"""The rules that a definition's structure cannot express: names, expressions, references, one fault for each breach."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches

from services.workflow import limits
from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.errors import DefinitionInvalid, fault
from services.workflow.domain.language.exposure import exposure_faults
from services.workflow.domain.language.expressions import examine_condition, misplaced_secrets
from services.workflow.domain.language.fields import IDENTIFIER, SEMANTIC_VERSION, SLUG
from services.workflow.domain.language.input_schema import compile_schema
from services.workflow.domain.language.mapping import compile_mapping
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.placement import Place, places_of, why_not_before
from services.workflow.domain.language.retry import RetrySettings
from services.workflow.domain.language.schema_work import SchemaInvalid
from services.workflow.domain.language.secret_text import SECRET_ROOT
from services.workflow.domain.language.templates import Reference, examine_template
from services.workflow.domain.language.trigger_rules import trigger_faults
from shared.errors import FieldFault

# What every execution's context has beside its steps. `secret` is never in a context: it is resolved by who uses it.
EXECUTION_ROOTS = ("input", "execution", "tenant")
RESERVED_NAMES = frozenset({*EXECUTION_ROOTS, SECRET_ROOT})

_IDENTIFIER, _VERSION, _SLUG = re.compile(IDENTIFIER), re.compile(SEMANTIC_VERSION), re.compile(SLUG)


class Validator:
    """One validation of one definition. `names_elsewhere` are steps that could not be read, yet may be referred to."""

    def __init__(self, definition: Definition, names_elsewhere: Collection[str] = ()) -> None:
        self._definition = definition
        self._elsewhere = names_elsewhere
        self._places = list(places_of(definition.steps))
        self._by_name: dict[str, Place] = {}
        self._placeholders = 0
        self._hints = 0

    def faults(self) -> Iterator[FieldFault]:
        """Yield every breach, in the definition's order; stops early only at a bound on what validating may cost."""
        definition = self._definition
        yield from self._head()
        yield from self._names()
        yield from _retry_faults("", definition.max_retries, definition.retry)
        if (costly := self._too_many_expressions()) is not None:
            yield costly
            return
        for place in self._places:
            yield from self._step(place)
            if self._placeholders > limits.MAX_DEFINITION_PLACEHOLDERS:
                message = f"at most {limits.MAX_DEFINITION_PLACEHOLDERS:,} placeholders in all"
                yield fault("steps", message, "too_many_placeholders")
                return
        if definition.concurrency is not None:
            yield from self._at_the_door({"key": definition.concurrency.key}, "concurrency", EXECUTION_ROOTS)
        if definition.output is not None:
            yield from self._template({"output": definition.output}, "", None)
        yield from self._search_attributes()
        yield from trigger_faults(definition.triggers, self._unknown)

    def _too_many_expressions(self) -> FieldFault | None:
        texts = [
            text
            for place in self._places
            for text in (
                *place.step.conditions().values(),
                *place.step.conditions_inside().values(),
                *place.step.output_mapping.values(),
            )
        ]
        if len(texts) > limits.MAX_DEFINITION_EXPRESSIONS:
            message = f"at most {limits.MAX_DEFINITION_EXPRESSIONS:,} conditions and mapped fields in all"
        elif sum(map(len, texts)) > limits.MAX_DEFINITION_EXPRESSION_CHARS:
            message = f"at most {limits.MAX_DEFINITION_EXPRESSION_CHARS:,} characters in all conditions and mappings"
        else:
            return None
        return fault("steps", message, "too_many_expressions")

    def _head(self) -> Iterator[FieldFault]:
        definition = self._definition
        if not definition.steps:
            yield fault("steps", "a definition has at least one step", "no_steps")
        if not _VERSION.match(definition.version):
            yield fault("version", "a semantic version is expected, such as 1.0.0", "bad_version")
        if definition.slug is not None and not _SLUG.match(definition.slug):
            yield fault("slug", "a slug is made of a-z, 0-9 and single hyphens between them", "bad_slug")
        if definition.input_schema is not None:
            try:
                compile_schema(definition.input_schema)
            except SchemaInvalid as error:
                yield fault("input_schema", f"not a JSON Schema that can be used: {error}", "bad_schema")
        yield from exposure_faults(definition)

    def _names(self) -> Iterator[FieldFault]:
        for place in self._places:
            name, path = place.step.name, f"{place.path}.name"
            if not _IDENTIFIER.match(name):
                yield fault(
                    path, "a step's name is made of letters, digits and _, and starts with no digit", "bad_name"
                )
            elif name in RESERVED_NAMES:
                yield fault(path, f"{name!r} is reserved", "reserved_name")
            elif name in self._by_name:
                yield fault(path, f"{self._by_name[name].path} has the name {name!r} already", "duplicate_name")
            else:
                self._by_name[name] = place
        for place in self._places:
            for name in place.step.locals():
                if name in RESERVED_NAMES or not _IDENTIFIER.match(name):
                    yield fault(f"{place.path}.as", f"{name!r} cannot be used", "reserved_name")
                elif name in self._by_name:
                    yield fault(f"{place.path}.as", f"there is a {name!r} already: give another 'as'", "duplicate_name")

    def _step(self, place: Place) -> Iterator[FieldFault]:
        step, path = place.step, place.path
        yield from step.faults(path)
        yield from _retry_faults(path, step.max_retries, step.retry)
        if not step.is_task and (step.max_retries or step.retry is not None):
            where = join_path(path, "retry" if step.retry is not None else "max_retries")
            yield fault(where, f"a {step.type} step is not retried: give this to the steps that do work", "no_retry")
        yield from self._template(step.templates(), path, place, step.secret_fields)
        for field, text in step.conditions().items():
            yield from self._condition(text, join_path(path, field), place)
        for field, text in step.conditions_inside().items():
            yield from self._condition(text, join_path(path, field), place, inside=True)
        try:
            compile_mapping(step.output_mapping, f"{path}.output_mapping")
        except DefinitionInvalid as error:
            yield from error.faults

    def _search_attributes(self) -> Iterator[FieldFault]:
        """Check what is rendered at the start, before there is any step."""
        found = self._definition.search_attributes
        for name in found:
            if not _IDENTIFIER.match(name) or len(name) > limits.MAX_ATTRIBUTE_NAME_CHARS:
                message = (
                    f"an attribute's name is an identifier of at most {limits.MAX_ATTRIBUTE_NAME_CHARS} characters"
                )
                yield fault(join_path("search_attributes", name), message, "bad_name")
        yield from self._at_the_door({"search_attributes": found}, "", EXECUTION_ROOTS)

    def _at_the_door(self, fields: dict[str, object], path: str, known: Sequence[str]) -> Iterator[FieldFault]:
        """Check templates that are rendered before an execution exists."""
        template, faults = examine_template(fields, path)
        yield from faults
        self._placeholders += len(template.references) + len(template.secret_references)
        yield from self._unknown(template.references, known)
        yield from misplaced_secrets(template, path, frozenset())

    def _template(
        self,
        fields: dict[str, object],
        path: str,
        place: Place | None,
        secret_fields: frozenset[str] = frozenset(),
    ) -> Iterator[FieldFault]:
        template, faults = examine_template(fields, path)
        yield from faults
        self._placeholders += len(template.references) + len(template.secret_references)
        yield from misplaced_secrets(template, path, secret_fields)
        for reference in template.references:
            yield from self._reference(reference, place)

    def _condition(self, text: str, path: str, place: Place, *, inside: bool = False) -> Iterator[FieldFault]:
        references, faults = examine_condition(text, path)
        yield from faults
        for reference in references:
            yield from self._reference(reference, place, inside=inside)

    def _reference(self, reference: Reference, place: Place | None, *, inside: bool = False) -> Iterator[FieldFault]:
        """Check one use of a name; without a `place` it is used when all steps are over."""
        if reference.root in EXECUTION_ROOTS or reference.root in self._elsewhere:
            return
        local = () if place is None else (*place.locals(), *(place.step.locals() if inside else ()))
        if reference.root in local:
            return
        target = self._by_name.get(reference.root)
        if target is None:
            yield from self._unknown([reference], (*EXECUTION_ROOTS, *local, *self._by_name))
        elif why := why_not_before(target, place, inside=inside):
            message = f"{reference.text} cannot be used here: the step {reference.root!r} {why}"
            yield fault(reference.path, message, "reference_not_before", reference.position)

    def _unknown(self, references: Iterable[Reference], known: Sequence[str]) -> Iterator[FieldFault]:
        for reference in references:
            if reference.root in known:
                continue
            # The search for a near name is slow, and nobody reads the hundredth hint.
            self._hints += 1
            near = get_close_matches(reference.root, known, n=1) if self._hints < limits.MAX_REPORTED_FAULTS else []
            hint = (
                f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[: limits.MAX_REPORTED_NAMES])}"
            )
            message = f"{reference.text} refers to nothing: there is no {reference.root!r} here; {hint}"
            yield fault(reference.path, message, "reference_unknown", reference.position)


def _retry_faults(path: str, retries: int | None, settings: RetrySettings | None) -> Iterator[FieldFault]:
    if settings is None:
        return
    at = join_path(path, "retry")
    if retries is not None and settings.max_attempts is not None:
        yield fault(f"{at}.max_attempts", "'max_retries' says this already: give one of the two", "bad_retry")
    first, most = settings.initial_interval_ms, settings.max_interval_ms
    if first is not None and most is not None and first > most:
        yield fault(f"{at}.max_interval_ms", "the longest interval is below the first", "bad_retry")
