"""Whether something that happened starts an execution, and with which input."""

from collections.abc import Mapping
from typing import Any

import msgspec

from services.workflow.domain.language.conditions import compile_condition
from services.workflow.domain.language.definition import EventTrigger, ScheduleTrigger, WebhookTrigger
from services.workflow.domain.language.templates import compile_template


class Fired(msgspec.Struct, frozen=True):
    """A trigger whose condition holds, and the input that it gives."""

    input: Any


def fire(
    trigger: EventTrigger | ScheduleTrigger | WebhookTrigger, scope: Mapping[str, Any], default: Any
) -> Fired | None:
    """Return what a trigger makes of what happened (`scope`), None if its condition does not hold.

    Raises what evaluating conditions and rendering templates raises: `ExpressionTooCostly`, `TemplateUnresolved`, ….
    """
    if trigger.condition is not None and not compile_condition(trigger.condition).evaluate(scope):
        return None
    return Fired(default if trigger.input is None else compile_template(trigger.input).render(scope))
