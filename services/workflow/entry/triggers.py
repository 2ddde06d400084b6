"""Starts executions by what tenants publish on `events.<tenant>.external.…`, and by what executions emit there."""

import logging
import re
from typing import Any
from uuid import UUID

import msgspec
from nats.aio.msg import Msg

from services.workflow.app.ports import Triggered, Triggers
from services.workflow.app.starting import Door, Request
from services.workflow.domain.language.triggering import fire
from services.workflow.errors import ConcurrencyLimit
from services.workflow.limits import EVENTS_IN_FLIGHT, MAX_TRIGGER_DEPTH
from shared.bus.cloudevents import tenant_of
from shared.bus.durable import DurableConsumer
from shared.bus.outcome import Done, Outcome, Poison, Retry
from shared.bus.streams import EMITTED, EXTERNAL
from shared.errors import PlatformError, Unavailable
from shared.ids import derived_id

_log = logging.getLogger(__name__)
_DEPTH = "ce-depth"  # how many executions lie before the event, each started by what the one before it emitted
REPUBLISHED_FROM = "Nats-Stream"


def trigger_consumers(triggers: Triggers, executions: Door) -> list[DurableConsumer]:
    """Return the readers of what tenants publish and of what executions emit."""

    async def on_external(message: Msg) -> Outcome:
        if (message.headers or {}).get(REPUBLISHED_FROM) == EMITTED.name:
            return Done()  # it is read where it was stored first
        return await on_event(message, message.subject)

    async def on_emitted(message: Msg) -> Outcome:
        return await on_event(message, external_subject(message.subject))

    async def on_event(message: Msg, full_subject: str) -> Outcome:
        try:
            tenant_id = tenant_of(full_subject)
            data = msgspec.json.decode(message.data or b"null")
        except (ValueError, RecursionError) as error:
            return Poison(f"the event is not JSON: {error}")
        subject = full_subject.split(".", 2)[2]
        headers = message.headers or {}
        depth = depth_of(headers.get(_DEPTH, "0"))
        if depth is None:
            return Poison(f"{_DEPTH} is no number from 0 on: {headers[_DEPTH][:100]!r}")
        # Without an id of its own the event is named by its place in the stream, which stays when it comes again.
        event_id = headers.get("ce-id") or str(message.metadata.sequence.stream)
        event = {"id": event_id, "subject": subject, "type": headers.get("ce-type"), "data": data, "depth": depth}
        refused: list[str] = []
        try:
            for triggered in await triggers.of(tenant_id):
                if matches(triggered.trigger.subject, subject):
                    refused += await _start(executions, triggered, tenant_id, event)
        except Unavailable as error:  # it comes again, and what it has started already starts no second time
            return Retry(1.0, error.message)
        return Poison("; ".join(refused)) if refused else Done()

    return [
        DurableConsumer(
            service="workflow",
            stream=EXTERNAL,
            subject="events.*.external.>",
            durable="workflow-triggers",
            handler=on_external,
            max_in_flight=EVENTS_IN_FLIGHT,
            only_new=True,
        ),
        DurableConsumer(
            service="workflow",
            stream=EMITTED,
            subject="emitted.*.>",
            durable="workflow-emitted",
            handler=on_emitted,
            max_in_flight=EVENTS_IN_FLIGHT,
        ),
    ]


async def _start(executions: Door, triggered: Triggered, tenant_id: UUID, event: dict[str, Any]) -> list[str]:
    scope = {"event": event, "tenant": {"id": str(tenant_id)}}
    trigger = triggered.trigger
    try:
        fired = fire(trigger, scope, event["data"])
        if fired is None:
            return []
        if event["depth"] > MAX_TRIGGER_DEPTH:
            why = f"{event['depth']} executions lie before the event, each started by the one before: a loop?"
            return [f"workflow {triggered.workflow_id}: trigger_too_deep: {why} At most {MAX_TRIGGER_DEPTH} may."]
        await executions.start(
            Request(
                derived_id("event-trigger", tenant_id, triggered.workflow_id, event["subject"], event["id"]),
                tenant_id,
                str(triggered.workflow_id),
                triggered.revision,
                fired.input,
                {"event": {name: event[name] for name in ("id", "subject", "type", "depth")}},
                "event",
                "service:workflow",
                None,
            )
        )
    except PlatformError as error:
        if error.retry_after is not None:
            raise
        if error.code == ConcurrencyLimit.code:  # as its definition has it: nothing is wrong with the event
            _log.info("the event %s starts no execution of %s: %s", event["id"], triggered.workflow_id, error.message)
            return []
        return [f"workflow {triggered.workflow_id}: {error.code}: {error.message}"]
    return []


def depth_of(text: str) -> int | None:
    """Return the depth that a header says, None if it says none."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def external_subject(emitted: str) -> str:
    """Return where what is stored on `emitted.<tenant>.<subject>` is heard: `events.<tenant>.external.<subject>`."""
    _, tenant, subject = emitted.split(".", 2)
    return f"events.{tenant}.external.{subject}"


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject fits a NATS pattern: `*` is one token, a last `>` one or more."""
    wanted, found = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(found) > place
        if place >= len(found) or part not in {"*", found[place]}:
            return False
    return len(wanted) == len(found)
