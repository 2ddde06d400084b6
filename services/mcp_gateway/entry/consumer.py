"""Tasks from the bus: `commands.mcp.execute-tool`, a list a message, each task worked on by itself.

Core NATS delivers at most once and the engine asks again for what it does not hear of. So a task that is being worked
on is dropped when it comes again, and one that was answered lately is answered from memory.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from faststream.nats import NatsBroker, NatsMessage
from nats.aio.client import Client

from services.mcp_gateway.app.answers import AnswerMemory
from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.domain.call import RETRYABLE, CallOutcome, CallRequest
from services.mcp_gateway.entry.results import ResultOutbox
from services.mcp_gateway.entry.shapes import Seconds, ServerReference, ToolName
from services.mcp_gateway.errors import SecretsUnavailable, ToolTimeout
from services.mcp_gateway.limits import CALL_SECONDS_DEFAULT, HEARTBEAT_LOOK_SECONDS, TASKS_IN_FLIGHT_MAX
from services.mcp_gateway.metrics import Metrics
from shared.bus.broker import whole_message
from shared.bus.envelope import EnvelopeDecoder, encode_item, pack
from shared.bus.tasks import HEARTBEAT_S, PARTITIONS, Task, TaskError, TaskResult
from shared.errors import InvalidInput, PlatformError, Unavailable
from shared.ids import derived_id
from shared.scope import TenantScope
from shared.telemetry.trace import begin_trace

_log = logging.getLogger(__name__)
SUBJECT = "commands.mcp.execute-tool"
QUEUE = "mcp_gateway"
_decode = EnvelopeDecoder(Task)
_ATTEMPT_MAX = 2**31 - 1


class ToolPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tool task asks for. `secret_paths` are the places of `arguments` that name secrets."""

    server_id: ServerReference
    tool_name: ToolName
    arguments: dict[str, Any] = {}
    timeout_seconds: Seconds | None = None
    secret_paths: Annotated[list[list[str | int]], msgspec.Meta(max_length=1_000)] = []


class _Working:
    """A task in flight. `engine`: its result goes to the engine, and it needs heartbeats."""

    def __init__(self, task: Task, job: "asyncio.Task[bytes]", *, engine: bool) -> None:
        self.task = task
        self.job = job
        self.engine = engine
        self.since = time.perf_counter()
        self.beat_at = self.since + HEARTBEAT_S


class TaskConsumer:
    """Works on tasks. `register` before the broker starts; `beat` runs beside it."""

    def __init__(
        self,
        calls: ToolCalls,
        outbox: ResultOutbox,
        memory: AnswerMemory,
        metrics: Metrics,
        client: Callable[[], Client],
    ) -> None:
        self._calls = calls
        self._outbox = outbox
        self._memory = memory
        self._metrics = metrics
        self._client = client
        self._working: dict[str, _Working] = {}

    @property
    def in_flight(self) -> int:
        """Tasks that are being worked on."""
        return len(self._working)

    def register(self, broker: NatsBroker) -> None:
        """Hear the subject; replicas share its messages."""
        # A handler stays until its tasks are answered, so that a stopping broker waits for them before it disconnects.
        broker.subscriber(SUBJECT, queue=QUEUE, decoder=whole_message, max_workers=TASKS_IN_FLIGHT_MAX, no_reply=True)(
            self.on_message
        )

    async def on_message(self, message: NatsMessage) -> None:
        """Work on a message's tasks. With a reply subject the results go there, as a list in the tasks' order."""
        raw = message.raw_message
        try:
            tasks = _checked(_decode(raw.data))
        except InvalidInput as error:
            await self._refuse_message(raw.data, error, raw.reply)
            return
        if raw.reply:
            answers = await asyncio.gather(*(self._answer(task) for task in tasks))
            for body in pack(answers):
                await self._client().publish(raw.reply, body)
            return
        await asyncio.gather(*(self._work(task) for task in tasks))

    async def beat(self) -> None:
        """Say of every task that takes longer that it is still worked on, until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_LOOK_SECONDS)
            now = time.perf_counter()
            for working in self._working.values():
                if working.engine and now >= working.beat_at:
                    working.beat_at += HEARTBEAT_S
                    beat = _result(working.task, "running", duration_ms=(now - working.since) * 1000.0)
                    self._outbox.put(working.task.partition, encode_item(beat))

    async def _work(self, task: Task) -> None:
        working = self._working.get(_key(task))
        if working is not None:
            working.engine = True
            self._metrics.tasks.labels("dropped").inc()
            return
        await self._outbox.put(task.partition, await self._answer(task, engine=True))

    async def _answer(self, task: Task, *, engine: bool = False) -> bytes:
        working = self._working.get(_key(task))
        if working is not None:
            return await asyncio.shield(working.job)
        remembered = self._memory.get(_key(task))
        if remembered is not None:
            self._metrics.tasks.labels("remembered").inc()
            return remembered
        if len(self._working) >= TASKS_IN_FLIGHT_MAX:
            self._metrics.tasks.labels("refused").inc()
            return encode_item(_failed(task, Unavailable("The gateway has too many calls in flight.")))
        self._metrics.tasks.labels("taken").inc()
        job = asyncio.get_running_loop().create_task(self._done(task))
        self._working[_key(task)] = _Working(task, job, engine=engine)
        try:
            return await asyncio.shield(job)
        finally:
            self._working.pop(_key(task), None)

    async def _done(self, task: Task) -> bytes:
        try:
            result = await self._execute(task)
        except PlatformError as error:
            result = _failed(task, error)
        except Exception:  # noqa: BLE001 - a bug in one task must be heard by its execution, not stall it
            _log.exception("the task %s failed", task.task_id)
            problem = TaskError("internal", "Something failed in the gateway.", retryable=True)
            result = _result(task, "error", error=problem)
        encoded = encode_item(result)
        if result.error is None or result.error.code != Unavailable.code:
            self._memory.put(_key(task), encoded)
        return encoded

    async def _execute(self, task: Task) -> TaskResult:
        begin_trace(task.traceparent)
        try:
            payload = msgspec.convert(task.payload, ToolPayload)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"The task is not one for a tool: {error}") from error
        if payload.secret_paths:
            raise SecretsUnavailable("The call names secrets, and there is no store here to take them from.")
        left = task.deadline_ms / 1000.0 - time.time()
        if left <= 0:
            raise ToolTimeout("The task's time was over before it was begun: nothing was called.")
        request = CallRequest(
            id=derived_id("tool-call", task.task_id),
            server=payload.server_id,
            tool_name=payload.tool_name,
            arguments=payload.arguments,
            timeout_seconds=min(payload.timeout_seconds or max(left, CALL_SECONDS_DEFAULT), left),
            task_id=task.task_id,
            correlation_id=str(task.execution_id),
            attempt=task.attempt,
        )
        return _ended(task, await self._calls.execute(TenantScope(task.tenant_id, "service:workflow"), request))

    async def _refuse_message(self, body: bytes, error: InvalidInput, reply: str) -> None:
        self._metrics.messages_refused.inc()
        _log.warning("a message on %s was refused: %s", SUBJECT, error.message)
        if reply:
            problem = {"code": error.code, "message": error.message, "retryable": False, "details": {}}
            await self._client().publish(reply, msgspec.json.encode([{"status": "error", "error": problem}]))
            return
        headers = {"agentic-subject": SUBJECT, "agentic-reason": error.message[:1000].replace("\n", " ")}
        await self._client().jetstream().publish(f"deadletter.{QUEUE}", body, headers=headers)


def _checked(tasks: list[Task]) -> list[Task]:
    for task in tasks:
        if not 0 <= task.partition < PARTITIONS or not 0 <= task.attempt <= _ATTEMPT_MAX or "\0" in task.task_id:
            raise InvalidInput(f"The task {task.task_id[:200]!r} has a partition, attempt or id that cannot be.")
    return tasks


def _key(task: Task) -> str:
    return f"{task.tenant_id}/{task.task_id}"


def _ended(task: Task, outcome: CallOutcome) -> TaskResult:
    failure = outcome.failure
    if failure is None:
        return _result(task, "ok", output=outcome.result, duration_ms=outcome.duration_ms)
    details = {**failure.details, "faults": msgspec.to_builtins(failure.faults)} if failure.faults else failure.details
    error = TaskError(failure.code, failure.message, failure.retryable, details)
    return _result(task, "error", error=error, duration_ms=outcome.duration_ms)


def _failed(task: Task, error: PlatformError) -> TaskResult:
    # An unknown server is, to the step that names it, a tool that is not there.
    code = "tool_not_found" if error.code == "not_found" else error.code
    return _result(task, "error", error=TaskError(code, error.message, code in RETRYABLE, error.details))


def _result(task: Task, status: Any, **rest: Any) -> TaskResult:
    return TaskResult(task.execution_id, task.step_path, task.attempt, status, **rest)
