"""A worker of tasks: takes lists, works on each task by itself, answers in lists, beats while it works."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from shared.bus.deadletters import bury
from shared.bus.envelope import EnvelopeDecoder, encode_item, pack
from shared.bus.fair_slots import Displaced, FairSlots
from shared.bus.inbox import Inbox
from shared.bus.outbox import ResultOutbox
from shared.bus.tasks import HEARTBEAT_S, PARTITIONS, Task, TaskError, TaskResult, bad_text, too_deep
from shared.errors import InvalidInput, PlatformError, Unavailable
from shared.limits import NATS_PENDING_BYTES, TASK_ATTEMPT_MAX, TASK_PRIORITY_MAX, TASKS_HELD_MAX, WORKER_LOOK_S
from shared.nesting import is_deep, may_be_deep
from shared.telemetry.metrics import WorkerMetrics
from shared.telemetry.trace import begin_trace

_log = logging.getLogger(__name__)
_decode = EnvelopeDecoder(Task)

Do = Callable[[Task], Awaitable[TaskResult]]
"""Does one task and returns its result, well or not. It keeps the task's deadline by itself."""


class _Held:
    """A task that is being worked on. `engine`: its result goes to the engine, and it needs heartbeats."""

    def __init__(self, task: Task, job: "asyncio.Task[bytes]", *, engine: bool) -> None:
        self.task = task
        self.job = job
        self.engine = engine
        self.since = time.monotonic()
        self.beat_at = self.since + HEARTBEAT_S


class TaskWorker:
    """Does the tasks of one subject; replicas share them by a queue group.

    Core NATS delivers at most once, and the engine asks again for what it does not hear of. So a task that is being
    worked on is dropped when it comes again, and one that was answered lately is answered from memory. A message with
    a reply subject gets its results there instead, as a list in the tasks' order.

    Tenants take turns, and the tasks of one are done by priority (`fair_slots`). When the worker holds all it can, who
    has the most waiting tasks makes room for who has fewer.
    """

    def __init__(
        self,
        subject: str,
        *,
        service: str,
        do: Do,
        concurrency: int,
        client: Callable[[], Client],
        metrics: WorkerMetrics,
    ) -> None:
        self._subject = subject
        self._service = service
        self._do = do
        self._slots = FairSlots(concurrency)
        self._client = client
        self._metrics = metrics
        self._held: dict[str, _Held] = {}
        self._inbox = Inbox()
        self._outbox = ResultOutbox(client, metrics.results_lost.inc)
        self._work: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None
        metrics.tasks_held.labels(subject).set_function(lambda: len(self._held))

    async def start(self, client: Client) -> None:
        """Begin to hear the subject: from the connection itself, since what FastStream adds costs more than a task."""
        self._subscription = await client.subscribe(
            self._subject, queue=self._service, cb=self._on_message, pending_bytes_limit=NATS_PENDING_BYTES
        )

    async def beat(self) -> None:
        """Say of every task that takes longer that it is still worked on, until cancelled."""
        while True:
            await asyncio.sleep(WORKER_LOOK_S)
            now = time.monotonic()
            for held in self._held.values():
                if held.engine and now >= held.beat_at:
                    held.beat_at += HEARTBEAT_S
                    beat = _result(held.task, "running", duration_ms=(now - held.since) * 1000.0)
                    self._outbox.put(held.task.partition, encode_item(beat))

    async def drain(self) -> None:
        """Take nothing more, and return when what was taken is answered."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(NatsError):  # the connection was closed before: nothing more comes
                await subscription.drain()  # type: ignore[no-untyped-call]  # nats-py does not annotate it
        while self._work:
            await asyncio.wait(self._work)
        await self._outbox.flushed()

    async def _on_message(self, message: Msg) -> None:
        try:
            tasks = _checked(_decode(message.data))
        except InvalidInput as error:
            await self._refuse(message.data, error, message.reply)
            return
        if message.reply:
            self._spawn(self._reply(message.reply, tasks))
            return
        for task in tasks:
            held = self._held.get(_key(task))
            if held is None or not held.engine:
                self._spawn(self._answer_engine(task))
            else:
                self._metrics.tasks.labels("dropped").inc()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        running = asyncio.create_task(work)
        self._work.add(running)
        running.add_done_callback(self._work.discard)

    async def _answer_engine(self, task: Task) -> None:
        self._outbox.put(task.partition, await self._answer(task, engine=True))

    async def _reply(self, subject: str, tasks: list[Task]) -> None:
        answers = await asyncio.gather(*(self._answer(task, engine=False) for task in tasks))
        try:
            for body in pack(answers):
                await self._client().publish(subject, body)
        except (NatsError, PlatformError) as error:
            _log.warning("%d results could not be sent to who asked: %r", len(answers), error)

    async def _answer(self, task: Task, *, engine: bool) -> bytes:
        key = _key(task)
        held = self._held.get(key)
        if held is None:
            remembered = self._inbox.answer_to(key)
            if remembered is not None:
                self._metrics.tasks.labels("remembered").inc()
                return remembered
            if len(self._held) >= TASKS_HELD_MAX and not self._slots.displace(task.tenant_id):
                self._metrics.tasks.labels("refused").inc()
                error = TaskError(Unavailable.code, "The worker has too many tasks already.", retryable=True)
                return encode_item(_result(task, "error", error=error))
            self._metrics.tasks.labels("taken").inc()
            held = self._held[key] = _Held(task, asyncio.create_task(self._done(task)), engine=engine)
            held.job.add_done_callback(lambda _: self._held.pop(key, None))
        held.engine = held.engine or engine
        return await asyncio.shield(held.job)

    async def _done(self, task: Task) -> bytes:
        begin_trace(task.traceparent)
        try:
            async with self._slots.slot(task.tenant_id, task.priority):
                result = await self._do(task)
        except Displaced as displaced:
            self._metrics.tasks.labels("displaced").inc()
            result = _result(task, "error", error=TaskError(displaced.code, displaced.message, retryable=True))
        except Exception:  # noqa: BLE001 - a bug in one task must be heard by its execution, not stall it
            _log.exception("the task %s failed", task.task_id)
            error = TaskError("worker_failed", "The worker failed: its log says why.", retryable=True)
            result = _result(task, "error", error=error)
        encoded = _encoded(task, result)
        # Nothing was begun by a task that could not be taken, and nothing has ended with one that is still running.
        if result.status != "running" and (result.error is None or result.error.code != Unavailable.code):
            self._inbox.remember(_key(task), encoded)
        return encoded

    async def _refuse(self, body: bytes, error: InvalidInput, reply: str) -> None:
        self._metrics.messages_refused.inc()
        try:
            if reply:
                refusal = {"status": "error", "error": TaskError(error.code, error.message)}
                await self._client().publish(reply, b"[" + encode_item(refusal) + b"]")
            else:
                await bury(self._client(), self._service, self._subject, body, error.message)
        except (NatsError, PlatformError, TimeoutError) as failure:
            _log.warning("a message on %s was refused (%s) and lost: %r", self._subject, error.message, failure)


def _encoded(task: Task, result: TaskResult) -> bytes:
    """Return a result as it is sent.

    What is nested too deeply could not be read, with all else in its message; a bad text cannot even be encoded.
    """
    try:
        encoded = encode_item(result)
    except RecursionError:
        deep = True
    except UnicodeEncodeError:
        return encode_item(_result(task, "error", error=bad_text()))
    else:
        deep = may_be_deep(encoded) and (is_deep(result.output) or is_deep(result.error and result.error.details))
    return encode_item(_result(task, "error", error=too_deep())) if deep else encoded


def _checked(tasks: list[Task]) -> list[Task]:
    for task in tasks:
        known = 0 <= task.partition < PARTITIONS and 0 <= task.attempt <= TASK_ATTEMPT_MAX
        if not known or not 1 <= task.priority <= TASK_PRIORITY_MAX or "\0" in task.task_id:
            raise InvalidInput(
                f"The task {task.task_id[:200]!r} has a partition, attempt, priority or id that cannot be."
            )
    return tasks


def _key(task: Task) -> str:
    return f"{task.tenant_id}/{task.task_id}"


def _result(task: Task, status: Any, **rest: Any) -> TaskResult:
    return TaskResult(task.execution_id, task.step_path, task.attempt, status, **rest)
