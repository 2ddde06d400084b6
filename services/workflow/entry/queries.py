"""What other services may ask, by request and reply over core NATS: `queries.workflow.{execution, offered}`.

NATS lets only services ask that were given the right. They name the tenant; an execution of another one is not found.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.workflow.app.offered import OfferedPage, OfferedWorkflows
from services.workflow.app.ports import ExecutionReads, WorkflowReads
from services.workflow.app.standing import Standing, standing_of
from services.workflow.app.states import state_of
from services.workflow.domain.language.program import Program
from services.workflow.domain.state import ExecutionState
from services.workflow.entry.messages import Refusal
from services.workflow.limits import QUERIES_AT_ONCE
from shared.errors import InvalidInput, PlatformError, TooLarge, Unavailable
from shared.limits import FACT_MAX_BYTES
from shared.scope import TenantScope

_log = logging.getLogger(__name__)
EXECUTION_SUBJECT = "queries.workflow.execution"
OFFERED_SUBJECT = "queries.workflow.offered"


class ExecutionQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks where an execution stands. Whoever has `seen` a version is not told the same again."""

    tenant_id: UUID
    execution_id: UUID
    seen: int = 0


class ExecutionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where it stands, nothing if that was seen before, or why that cannot be said."""

    execution: Standing | None = None
    error: Refusal | None = None


class OfferedQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks which workflows are tools, behind this id."""

    after: UUID


class OfferedAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Those, or why they cannot be said."""

    page: OfferedPage | None = None
    error: Refusal | None = None


class Queries:
    """Answers them; replicas share the questions."""

    def __init__(self, executions: ExecutionReads, workflows: WorkflowReads, offered: OfferedWorkflows) -> None:
        self._executions = executions
        self._workflows = workflows
        self._offered = offered
        self._turns = asyncio.Semaphore(QUERIES_AT_ONCE)
        self._answering: set[asyncio.Task[None]] = set()

    async def listen(self, client: Client) -> None:
        """Begin to hear questions."""
        for subject, answer in ((EXECUTION_SUBJECT, self._execution), (OFFERED_SUBJECT, self._page)):
            await client.subscribe(subject, queue="workflow", cb=self._answered_by(answer))

    def _answered_by(self, answer: Callable[[bytes], Awaitable[object]]) -> Callable[[Msg], Awaitable[None]]:
        async def reply(message: Msg) -> None:
            async with self._turns:
                body = await _encoded(answer, message.data)
            try:
                await message.respond(body)
            except NatsError as error:
                _log.warning("a question on %s could not be answered: %r", message.subject, error)

        async def on_question(message: Msg) -> None:
            answering = asyncio.create_task(reply(message))
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)

        return on_question

    async def _execution(self, body: bytes) -> ExecutionAnswer:
        question = msgspec.json.decode(body, type=ExecutionQuestion)
        scope = TenantScope(question.tenant_id, "service:workflow")
        if question.seen:
            newer = await self._executions.history(scope, question.execution_id, after=question.seen, limit=1)
            if not newer:
                return ExecutionAnswer()
        state = state_of(await self._executions.history(scope, question.execution_id))
        return ExecutionAnswer(standing_of(state, await self._program(scope, state)))

    async def _program(self, scope: TenantScope, state: ExecutionState) -> Program | None:
        if state.workflow_id is None:
            return None
        try:
            return await self._workflows.program(scope, state.workflow_id, state.revision)
        except PlatformError:
            return None  # it cannot be read any more: how many steps it has is not known then

    async def _page(self, body: bytes) -> OfferedAnswer:
        return OfferedAnswer(await self._offered.page(msgspec.json.decode(body, type=OfferedQuestion).after))


async def _encoded(answer: Callable[[bytes], Awaitable[object]], question: bytes) -> bytes:
    try:
        body = msgspec.json.encode(await answer(question))
    except msgspec.MsgspecError as error:
        return _refused(InvalidInput(str(error)))
    except PlatformError as error:
        return _refused(error)
    except Exception:  # noqa: BLE001 - whoever asks waits for an answer, and the log has the reason
        _log.exception("a question could not be answered")
        return _refused(Unavailable("The workflow service failed: its log says why."))
    if len(body) > FACT_MAX_BYTES:
        return _refused(TooLarge(f"The answer has {len(body):,} bytes; at most {FACT_MAX_BYTES:,} can be sent."))
    return body


def _refused(error: PlatformError) -> bytes:
    return msgspec.json.encode({"error": Refusal(error.code, error.message, error.faults, error.retry_after)})
