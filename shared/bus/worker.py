"""A worker of tasks: takes lists, works on each task by itself, answers in lists, beats while it works."""

import asyncio
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from faststream.nats import NatsBroker, NatsMessage

from shared.bus.broker import client_of, whole_message
from shared.bus.envelope import EnvelopeDecoder, encode_item, pack
from shared.bus.tasks import HEARTBEAT_S, Task, TaskError, TaskResult, result_subject
from shared.errors import InvalidInput
from shared.limits import WORKER_MEMORY_BYTES, WORKER_MEMORY_ITEMS

_log = logging.getLogger(__name__)
_decode = EnvelopeDecoder(Task)

Do = Callable[[Task], Awaitable[TaskResult]]


class TaskWorker:
    """Does tasks of one subject. Replicas share them by a queue group.

    A task that is being worked on and comes again is dropped; one that was done is answered from memory, which is
    bounded: beyond it, and after a crash, a task may be done twice. It is recorded once: the engine sees to that.
    """

    def __init__(self, broker: NatsBroker, subject: str, *, service: str, do: Do, concurrency: int) -> None:
        self._broker = broker
        self._do = do
        self._slots = asyncio.Semaphore(concurrency)
        self._running: dict[str, tuple[float, Task]] = {}
        self._done: OrderedDict[str, bytes] = OrderedDict()
        self._done_bytes = 0
        self._outbox: dict[int, list[bytes]] = defaultdict(list)
        self._flushing: asyncio.Task[None] | None = None
        self._work: set[asyncio.Task[None]] = set()
        broker.subscriber(subject, queue=service, decoder=whole_message, no_reply=True)(self._on_message)

    async def beat(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            now = time.monotonic()
            for began, task in list(self._running.values()):
                if now - began >= HEARTBEAT_S:
                    running = TaskResult(task.execution_id, task.step_path, task.attempt, "running")
                    self._send(task.partition, encode_item(running))

    async def close(self) -> None:
        """Let what is running come to its end, and send its results."""
        while self._work or self._flushing:
            await asyncio.gather(*self._work, *([self._flushing] if self._flushing else []), return_exceptions=True)

    async def _on_message(self, message: NatsMessage) -> None:
        try:
            tasks = _decode(message.body)
        except InvalidInput:
            _log.exception("a message on %s is no list of tasks", message.raw_message.subject)
            return
        if message.reply_to:
            self._spawn(self._reply(message.reply_to, tasks))
            return
        for task in tasks:
            if task.task_id in self._running:
                continue
            done = self._done.get(task.task_id)
            if done is not None:
                self._send(task.partition, done)
                continue
            self._running[task.task_id] = (time.monotonic(), task)
            self._spawn(self._run(task))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        running = asyncio.create_task(work)
        self._work.add(running)
        running.add_done_callback(self._work.discard)

    async def _reply(self, reply_to: str, tasks: list[Task]) -> None:
        results = await asyncio.gather(*(self._result(task) for task in tasks))
        await client_of(self._broker).publish(reply_to, next(pack(map(encode_item, results)), b"[]"))

    async def _run(self, task: Task) -> None:
        try:
            result = encode_item(await self._result(task))
        finally:
            del self._running[task.task_id]
        self._remember(task.task_id, result)
        self._send(task.partition, result)

    async def _result(self, task: Task) -> TaskResult:
        left = task.deadline_ms / 1000 - time.time()
        try:
            async with self._slots, asyncio.timeout(max(0.0, left)):
                return await self._do(task)
        except TimeoutError:
            error = TaskError("step_timeout", "The step's time was up before it was done.", retryable=True)
        except Exception:  # noqa: BLE001 - a bug of the work: the engine is told, the worker goes on
            _log.exception("%s failed", task.task_id)
            error = TaskError("worker_failed", "The worker failed: its log says why.", retryable=True)
        return TaskResult(task.execution_id, task.step_path, task.attempt, "error", error=error)

    def _remember(self, task_id: str, result: bytes) -> None:
        self._done[task_id] = result
        self._done_bytes += len(result)
        while len(self._done) > WORKER_MEMORY_ITEMS or self._done_bytes > WORKER_MEMORY_BYTES:
            self._done_bytes -= len(self._done.popitem(last=False)[1])

    def _send(self, partition: int, result: bytes) -> None:
        """Send with whatever else is ready in this turn of the loop."""
        self._outbox[partition].append(result)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        try:
            await asyncio.sleep(0)
            client = client_of(self._broker)
            outbox, self._outbox = self._outbox, defaultdict(list)
            for partition, results in outbox.items():
                for body in pack(results):
                    await client.publish(result_subject(partition), body)
        finally:
            self._flushing = None
            if self._outbox:
                self._flushing = asyncio.create_task(self._flush())
