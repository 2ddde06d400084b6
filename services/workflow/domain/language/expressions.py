"""What is looked at in every condition and template of a definition, wherever it stands."""

from collections.abc import Iterator

import msgspec

from services.workflow.domain.language.conditions import compile_condition
from services.workflow.domain.language.errors import ConditionInvalid, fault
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.templates import Reference, Template
from shared.errors import FieldFault


def examine_condition(text: str, path: str) -> tuple[list[Reference], list[FieldFault]]:
    """Return what a condition refers to, and what is wrong with it."""
    try:
        condition = compile_condition(text)
    except ConditionInvalid as error:
        return [], [fault(path, error.message, error.code, error.position)]
    return [msgspec.structs.replace(reference, path=path) for reference in condition.references], []


def misplaced_secrets(template: Template, path: str, allowed: frozenset[str]) -> Iterator[FieldFault]:
    """Yield a fault for each secret that stands outside the fields that may hold one."""
    for place in template.secret_paths:
        if place[0] not in allowed:
            message = "a secret can stand only in what a tool or an HTTP request is sent"
            yield fault(join_path(path, *place), message, "secret_not_allowed")
