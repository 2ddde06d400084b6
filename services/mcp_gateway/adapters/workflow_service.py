"""The workflow service over NATS: durable commands that start and cancel executions, and questions about them."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.mcp_gateway.app.exposing import ExposedPage, WorkflowFact
from services.mcp_gateway.domain.executions import Standing
from services.mcp_gateway.domain.exposed import exposed_of
from services.mcp_gateway.errors import (
    ArgumentsInvalid,
    ServerBusy,
    ServerUnavailable,
    ToolError,
    ToolNotFound,
    ToolTimeout,
)
from shared.bus.answered import AnsweredCommands, NotStored
from shared.errors import FieldFault, NotFound, PlatformError
from shared.limits import REQUEST_TIMEOUT_S
from shared.telemetry.trace import current_traceparent

_log = logging.getLogger(__name__)

START = "commands.workflow.start-execution"
CONTROL = "commands.workflow.control-execution"
EXECUTION = "queries.workflow.execution"
OFFERED = "queries.workflow.offered"

_REFUSALS: dict[str, type[PlatformError]] = {
    "input_invalid": ArgumentsInvalid,
    "invalid_input": ArgumentsInvalid,
    "too_large": ArgumentsInvalid,
    "workflow_not_found": ToolNotFound,
    "workflow_not_active": ToolNotFound,
    "execution_not_found": NotFound,
    "concurrency_limit": ServerBusy,
    "concurrency_queue_full": ServerBusy,
}
"""What a refusal of the workflow service is to the caller of a tool; any other is an error of the tool."""


class _Refusal(msgspec.Struct):
    code: str
    message: str
    errors: list[FieldFault] = []


class _Accepted(msgspec.Struct):
    status: str | None = None
    error: _Refusal | None = None


class _Execution(msgspec.Struct):
    execution: Standing | None = None
    error: _Refusal | None = None


class _Workflow(msgspec.Struct):
    tenant_id: UUID
    workflow_id: UUID
    version: int
    slug: str
    definition: dict[str, Any]


class _Page(msgspec.Struct):
    workflows: list[_Workflow]
    position: int
    more: bool


class _Offered(msgspec.Struct):
    page: _Page | None = None
    error: _Refusal | None = None


_T = TypeVar("_T", _Execution, _Offered)


class WorkflowService:
    """What the gateway asks of it. `ExposedSource`."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client
        self._commands = AnsweredCommands("mcp_gateway", client)

    async def listen(self) -> None:
        """Begin to hear answers."""
        await self._commands.listen()

    async def start(
        self, tenant_id: UUID, execution_id: UUID, workflow_id: UUID, arguments: Mapping[str, Any], actor: str,
        seconds: float,
    ) -> None:  # fmt: skip
        """Start an execution; under the same id it is started once. Return when it has begun, or surely will.

        Raises what the workflow service refuses, `ServerUnavailable` if nothing was sent, and `ToolTimeout` if that is
        not known.
        """
        command = {
            "execution_id": execution_id,
            "tenant_id": tenant_id,
            "workflow": str(workflow_id),
            "input": arguments,
            "trigger": "mcp",
            "actor": actor,
            "traceparent": current_traceparent(),
        }
        await self._send(START, command, seconds)

    async def cancel(self, tenant_id: UUID, execution_id: UUID, actor: str, seconds: float) -> bool:
        """Cancel an execution; return whether that is done, or else kept. Raises as `start` does, and `NotFound`."""
        action = {"type": "cancel", "reason": "cancelled by an MCP client"}
        command = {"execution_id": execution_id, "tenant_id": tenant_id, "action": action, "actor": actor}
        return await self._send(CONTROL, command, seconds)

    async def standing(self, tenant_id: UUID, execution_id: UUID, seen: int = 0) -> Standing | None:
        """Return where an execution stands, None if it still does as at the version `seen`. Raises `NotFound`."""
        question = {"tenant_id": tenant_id, "execution_id": execution_id, "seen": seen}
        return (await self._ask(EXECUTION, question, _Execution, REQUEST_TIMEOUT_S)).execution

    async def exposed(self, after: UUID) -> ExposedPage:
        """Return the active workflows of all tenants that are tools, behind this id."""
        page = (await self._ask(OFFERED, {"after": after}, _Offered, REQUEST_TIMEOUT_S)).page
        if page is None:
            raise ServerUnavailable("The workflow service's answer has no workflows in it.")
        facts = [fact for told in page.workflows if (fact := _fact(told, page.position)) is not None]
        last = page.workflows[-1].workflow_id if page.more and page.workflows else None
        return ExposedPage(facts, page.position, last)

    async def ping(self, seconds: float) -> None:
        """Raise `ServerUnavailable` if it does not answer."""
        await self._ask(OFFERED, {"after": UUID(int=2**128 - 1)}, _Offered, seconds)

    async def _send(self, subject: str, command: dict[str, Any], seconds: float) -> bool:
        body = b"[" + msgspec.json.encode(command) + b"]"
        try:
            answered = await self._commands.send(subject, body, seconds)
        except NotStored as error:
            if not error.perhaps:
                raise _away() from error
            message = "It is not known whether the workflow service was told. The same call under its id is no second."
            raise ToolTimeout(message) from error
        if answered is not None:
            _check(msgspec.json.decode(answered, type=list[_Accepted])[0].error)
        return answered is not None

    async def _ask(self, subject: str, question: dict[str, Any], answer: type[_T], seconds: float) -> _T:
        try:
            reply = await self._client().request(subject, msgspec.json.encode(question), timeout=seconds)
            answered = msgspec.json.decode(reply.data, type=answer)
        except (NatsError, TimeoutError, msgspec.MsgspecError) as error:
            raise _away() from error
        _check(answered.error)
        return answered


def _fact(told: _Workflow, position: int) -> WorkflowFact | None:
    try:
        tool = exposed_of(told.workflow_id, told.slug, told.definition)
    except msgspec.ValidationError as error:  # of a later release: the others are tools all the same
        _log.warning("the workflow %s cannot be a tool: %s", told.workflow_id, error)
        return None
    return WorkflowFact(
        tenant_id=told.tenant_id,
        workflow_id=told.workflow_id,
        version=told.version,
        position=position,
        defines=True,
        tool=tool,
        status="active",
    )


def _check(refusal: _Refusal | None) -> None:
    if refusal is None:
        return
    details = {"refused": refusal.code}
    raise _REFUSALS.get(refusal.code, ToolError)(refusal.message, details=details, faults=refusal.errors)


def _away() -> ServerUnavailable:
    return ServerUnavailable("The workflow service does not answer: try again.", retry_after=1)
