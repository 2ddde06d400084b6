"""The rules of triggers that their structure cannot express."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from services.workflow.domain.language.cron import Cron, CronInvalid, TimezoneInvalid, zone_of
from services.workflow.domain.language.definition import (
    EventTrigger,
    ManualTrigger,
    ScheduleTrigger,
    Trigger,
    WebhookTrigger,
)
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.expressions import examine_condition, misplaced_secrets
from services.workflow.domain.language.fields import IDENTIFIER
from services.workflow.domain.language.templates import Reference, examine_template
from services.workflow.limits import MAX_TRIGGERS
from shared.errors import FieldFault

# What the condition and the input of a trigger see, by its type.
TRIGGER_ROOTS: dict[type[Trigger], tuple[str, ...]] = {
    ManualTrigger: (),
    EventTrigger: ("event", "tenant"),
    ScheduleTrigger: ("schedule", "tenant"),
    WebhookTrigger: ("event", "tenant"),
}

Unknown = Callable[[Iterable[Reference], Sequence[str]], Iterator[FieldFault]]

_IDENTIFIER = re.compile(IDENTIFIER)
_SUBJECT = re.compile(r"(?:[^\s.*>\x00-\x1f\x7f]+|\*)(?:\.(?:[^\s.*>\x00-\x1f\x7f]+|\*))*(?:\.>)?\Z|>\Z")
# From when a schedule is asked whether it ever comes: any day will do, and the rules know no clock.
_SOME_DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def trigger_faults(triggers: Sequence[Trigger], unknown: Unknown) -> Iterator[FieldFault]:
    """Yield every breach. `unknown` yields a fault for each reference whose root is none of the given names."""
    if len(triggers) > MAX_TRIGGERS:
        yield fault("triggers", f"a definition has at most {MAX_TRIGGERS} triggers", "too_many_triggers")
        return
    webhooks: dict[str, str] = {}
    for index, trigger in enumerate(triggers):
        path = f"triggers[{index}]"
        if isinstance(trigger, ManualTrigger):
            continue
        if isinstance(trigger, EventTrigger) and not _SUBJECT.match(trigger.subject):
            yield fault(f"{path}.subject", "a NATS subject is expected, such as orders.*.paid", "bad_subject")
        if isinstance(trigger, ScheduleTrigger):
            yield from _schedule(trigger, path)
        if isinstance(trigger, WebhookTrigger):
            yield from _webhook_name(trigger, path, webhooks)
        yield from _expressions(trigger, path, unknown)


def _expressions(
    trigger: EventTrigger | ScheduleTrigger | WebhookTrigger, path: str, unknown: Unknown
) -> Iterator[FieldFault]:
    roots = TRIGGER_ROOTS[type(trigger)]
    if trigger.condition is not None:
        references, faults = examine_condition(trigger.condition, f"{path}.condition")
        yield from faults
        yield from unknown(references, roots)
    template, faults = examine_template({"input": trigger.input}, path)
    yield from faults
    yield from unknown(template.references, roots)
    yield from misplaced_secrets(template, path, frozenset())


def _schedule(trigger: ScheduleTrigger, path: str) -> Iterator[FieldFault]:
    timezone = trigger.timezone
    try:
        zone_of(timezone)
    except TimezoneInvalid as error:
        yield fault(f"{path}.timezone", str(error), "bad_timezone")
        timezone = "UTC"
    try:
        comes = Cron(trigger.cron, timezone).after(_SOME_DAY)
    except CronInvalid as error:
        yield fault(f"{path}.cron", str(error), "bad_cron")
        return
    if comes is None:
        yield fault(f"{path}.cron", f"{trigger.cron!r} names a day that never comes", "bad_cron")


def _webhook_name(trigger: WebhookTrigger, path: str, seen: dict[str, str]) -> Iterator[FieldFault]:
    if not _IDENTIFIER.match(trigger.name):
        message = "a webhook's name is made of letters, digits and _, and starts with no digit"
        yield fault(f"{path}.name", message, "bad_name")
    elif trigger.name in seen:
        message = f"{seen[trigger.name]} is the webhook {trigger.name!r} already: give each a name of its own"
        yield fault(f"{path}.name", message, "duplicate_name")
    else:
        seen[trigger.name] = path
