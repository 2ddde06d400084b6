"""Requests to webhooks: whose they are, whether they are signed, and what they start."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

import msgspec

from services.workflow.app.ports import Programs
from services.workflow.app.webhooks import WebhookKeys
from services.workflow.domain.language.bounds import json_fault
from services.workflow.domain.language.definition import WebhookTrigger
from services.workflow.domain.language.triggering import fire
from services.workflow.domain.schedules import rfc3339
from services.workflow.domain.standard_webhooks import Signed, verify
from services.workflow.domain.webhook_request import event_of
from services.workflow.errors import UnsupportedMediaType, WebhookNotFound, WorkflowNotActive
from services.workflow.limits import MAX_INPUT_BYTES, MAX_INPUT_DEPTH
from shared.errors import InvalidInput
from shared.ids import derived_id

ACTIVE = "active"


class Addressed(msgspec.Struct, frozen=True):
    """The webhook that a request was sent to, and where its workflow stands."""

    id: UUID
    tenant_id: UUID
    workflow_id: UUID
    name: str
    key_version: int
    previous_until: dt.datetime | None
    status: str
    revision: int


class Delivery(msgspec.Struct, frozen=True):
    """What a request starts. The execution's id is that of the message, so that a second attempt starts nothing."""

    execution_id: UUID
    tenant_id: UUID
    workflow_id: UUID
    revision: int
    input: Any
    context: dict[str, Any]
    actor: str


class WebhookAddresses(Protocol):
    """Webhooks of all tenants."""

    async def addressed(self, webhook_id: UUID) -> Addressed | None:
        """Return one, None if it was removed. Raises `StoreAway`."""
        ...


class Hooks:
    """Turns requests into starts."""

    def __init__(self, addresses: WebhookAddresses, keys: WebhookKeys, programs: Programs) -> None:
        self._addresses = addresses
        self._keys = keys
        self._programs = programs

    async def address(self, token: str) -> Addressed:
        """Return the webhook with this token. Raises `WebhookNotFound`.

        A token that was never given out is known as such by its tag alone: guessing costs the database nothing.
        """
        webhook_id = self._keys.webhook_of(token)
        found = None if webhook_id is None else await self._addresses.addressed(webhook_id)
        if found is None:
            raise WebhookNotFound("There is no such webhook.")
        return found

    async def receive(
        self, to: Addressed, headers: Mapping[str, str], body: bytes, now: dt.datetime
    ) -> Delivery | None:
        """Return what a request starts, None if the trigger's condition does not hold.

        Raises what `verify` raises and, for what is signed: `UnsupportedMediaType`, `InvalidInput`,
        `WorkflowNotActive`, `WebhookNotFound`, and what templates raise.
        """
        signed = verify(headers, body, self._keys_of(to, now), now.timestamp())
        data = _json(headers.get("content-type", ""), body)
        if to.status != ACTIVE:
            raise WorkflowNotActive(f"The workflow is {to.status}: activate it first.")
        trigger = await self._trigger(to)
        event = event_of(signed.id, _time(signed), headers, data)
        fired = fire(trigger, {"event": event, "tenant": {"id": str(to.tenant_id)}}, data)
        if fired is None:
            return None
        return Delivery(
            derived_id("webhook", to.id, signed.id),
            to.tenant_id,
            to.workflow_id,
            to.revision,
            fired.input,
            {"event": {"id": signed.id, "type": event["type"], "webhook": to.name, "depth": 0}},
            f"webhook:{to.id}",
        )

    def _keys_of(self, to: Addressed, now: dt.datetime) -> list[bytes]:
        versions = [to.key_version]
        if to.previous_until is not None and now < to.previous_until:
            versions.append(to.key_version - 1)
        return [self._keys.signing_key(to.id, version) for version in versions]

    async def _trigger(self, to: Addressed) -> WebhookTrigger:
        definition = (await self._programs.load(to.workflow_id, to.revision)).definition
        for trigger in definition.triggers:
            if isinstance(trigger, WebhookTrigger) and trigger.name == to.name:
                return trigger
        raise WebhookNotFound("There is no such webhook.")


def _time(signed: Signed) -> str:
    return rfc3339(dt.datetime.fromtimestamp(signed.timestamp, dt.UTC))


def _json(content_type: str, body: bytes) -> Any:
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"A webhook takes application/json, not {kind[:100]}.")
    try:
        data = msgspec.json.decode(body)
    except RecursionError as error:
        raise InvalidInput(f"The body is nested deeper than {MAX_INPUT_DEPTH} levels.") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidInput(f"The body is no JSON: {error}.") from error
    fault = json_fault(data, max_depth=MAX_INPUT_DEPTH, max_size=MAX_INPUT_BYTES)
    if fault is not None:
        raise InvalidInput(f"The body cannot be taken: {fault.message}.", faults=[fault])
    return data
