"""Public events of workflows, by which the gateway knows which of them are tools; and its replicas' word of changes."""

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.mcp_gateway.app.exposing import Exposing, WorkflowFact
from services.mcp_gateway.domain.exposed import exposed_of
from services.mcp_gateway.limits import EXPOSED_FACT_RETRY_SECONDS, EXPOSED_FACTS_IN_FLIGHT
from shared.bus.cloudevents import tenant_of
from shared.bus.durable import DurableConsumer
from shared.bus.outcome import Done, Outcome, Poison, Retry
from shared.bus.streams import EVENTS
from shared.errors import PlatformError, Unavailable

_log = logging.getLogger(__name__)
_SUBJECTS = {
    "mcp_gateway-workflows": "events.*.workflow.workflow.*",
    "mcp_gateway-workflow-status": "events.*.workflow.workflow-status.changed",
}
NOTICE = "notices.mcp_gateway.exposed-workflows"


class _Defined(msgspec.Struct):
    slug: str
    definition: dict[str, Any]
    status: str = "draft"


class _StatusChanged(msgspec.Struct):
    status: str


def fact_consumers(exposing: Exposing) -> list[DurableConsumer]:
    """Return the readers of what happens to workflows. Replicas share them."""

    async def on_fact(message: Msg) -> Outcome:
        try:
            fact = _read(message)
            if fact is None:
                exposing.miss()
            else:
                await exposing.hear(fact)
        except (KeyError, ValueError, msgspec.MsgspecError) as error:
            return Poison(f"no event of a workflow: {error}")
        except Unavailable as error:
            return Retry(EXPOSED_FACT_RETRY_SECONDS, error.message)
        return Done()

    return [
        DurableConsumer(
            service="mcp_gateway",
            stream=EVENTS,
            subject=subject,
            durable=durable,
            handler=on_fact,
            max_in_flight=EXPOSED_FACTS_IN_FLIGHT,
        )
        for durable, subject in _SUBJECTS.items()
    ]


def _read(message: Msg) -> WorkflowFact | None:
    """Return what an event says, None if its data was too large to be said. Raises for what is no such event."""
    headers = message.headers or {}
    about: dict[str, Any] = {
        "tenant_id": tenant_of(message.subject),
        "workflow_id": UUID(headers["ce-subject"]),
        "version": int(headers["ce-streamversion"]),
        "position": int(headers["ce-position"]),
    }
    if "ce-dataomitted" in headers:
        return None
    match message.subject.rpartition(".")[2]:
        case "defined" | "revised" as happened:
            told = msgspec.json.decode(message.data, type=_Defined)
            tool = exposed_of(about["workflow_id"], told.slug, told.definition)
            status = told.status if happened == "defined" else None
            return WorkflowFact(**about, defines=True, tool=tool, status=status)
        case "changed":
            return WorkflowFact(**about, status=msgspec.json.decode(message.data, type=_StatusChanged).status)
        case "deleted":
            return WorkflowFact(**about, status="deleted")
        case _:
            return None  # of a later release: what it means is seen by comparing


class ToolNotices:
    """Tells all replicas, this one too, that the tools of a tenant changed: each keeps some of them in memory."""

    def __init__(self, client: Callable[[], Client], changed: Callable[[UUID], None]) -> None:
        self._client = client
        self._changed = changed

    async def tell(self, tenant_id: UUID) -> None:
        """Tell. What is not heard is noticed within seconds."""
        try:
            await self._client().publish(NOTICE, str(tenant_id).encode())
        except (NatsError, PlatformError) as error:
            _log.warning("that the workflows of %s changed could not be told: %r", tenant_id, error)

    async def listen(self) -> None:
        """Begin to hear."""

        async def on_notice(message: Msg) -> None:
            self._changed(UUID(message.data.decode()))

        await self._client().subscribe(NOTICE, cb=on_notice)
