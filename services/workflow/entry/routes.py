"""The way of results and commands to the process that owns their partition: one subscription a partition and kind.

A batch of tasks goes out with one partition, so that its results travel in lists; any partition of the same process
will do. So a result may come to a process that is not, or no longer, its execution's: it is sent on once, with a mark.
What is sent on and misses again is dropped, and its task sent again three seconds later.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import BadSubscriptionError, ConnectionClosedError
from nats.errors import Error as NatsError

from services.workflow.limits import ASTRAY_RESULTS_MAX, ENGINE_MAX_QUEUED, MAX_STEP_RESULT_BYTES
from services.workflow.metrics import EngineMetrics
from shared.bus.envelope import EnvelopeDecoder, encode_item, pack
from shared.bus.tasks import TaskError, TaskResult, partition_of, result_subject
from shared.errors import InvalidInput, PlatformError
from shared.limits import NATS_PENDING_BYTES

COMMANDS = "commands.workflow.partition"
"""`<this>.<partition>.<verb>`: a list of commands, handed over by another process of the service."""
LOOK = "commands.workflow.look-at-partitions"
"""To all processes: the partitions in the body are decided by its sender now."""
FORWARDED = {"forwarded": "1"}

_log = logging.getLogger(__name__)
_results = EnvelopeDecoder(TaskResult)
_taken = msgspec.json.Decoder(list[int]).decode

Take = Callable[[list[TaskResult]], list[TaskResult]]
"""Takes results and returns those that are decided elsewhere."""


class NatsRoutes:
    """`Routes` on the service's connection."""

    def __init__(self, client: Callable[[], Client], metrics: EngineMetrics) -> None:
        self._client = client
        self._metrics = metrics
        self._results: dict[int, Subscription] = {}
        self._commands: dict[int, Subscription] = {}
        self._elsewhere: set[int] = set()
        self._kept: dict[int, list[TaskResult]] = defaultdict(list)
        self._kept_count = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def listen(self, take: Take, on_command: Callable[[Msg], Awaitable[None]], look: Callable[[], None]) -> None:
        """Say what to do with what comes, before any partition is opened."""
        self._take = take
        self._on_command = on_command

        async def on_look(message: Msg) -> None:
            try:
                taken = _taken(message.data or b"[]")
            except msgspec.MsgspecError:
                _log.exception("a message on %s is no list of partitions", message.subject)
                return
            self._are_elsewhere([partition for partition in taken if partition not in self._commands])
            look()

        await self._client().subscribe(LOOK, cb=on_look)

    async def open(self, partitions: Collection[int]) -> None:
        """Hear results and commands of these partitions."""
        client = self._client()
        for partition in partitions:
            self._elsewhere.discard(partition)
            if partition not in self._results:
                self._results[partition] = await client.subscribe(
                    result_subject(partition),
                    cb=self._on_results,
                    pending_msgs_limit=ENGINE_MAX_QUEUED,
                    pending_bytes_limit=NATS_PENDING_BYTES,
                )
            if partition not in self._commands:
                self._commands[partition] = await client.subscribe(f"{COMMANDS}.{partition}.*", cb=self._on_command)
            self._take_again(self._kept.pop(partition, []))

    async def close(self, partitions: Collection[int]) -> None:
        """Hear their commands no longer."""
        for partition in partitions:
            if partition in self._commands:
                await _unsubscribe(self._commands.pop(partition))

    def follow(self, elsewhere: Collection[int]) -> None:
        """Send on what is kept for partitions that others own, and hear their results no longer."""
        self._elsewhere = set(elsewhere)
        self._are_elsewhere(elsewhere)

    def forward(self, results: Sequence[TaskResult]) -> None:
        """Send on, now or once the owner is known."""
        now: dict[int, list[bytes]] = defaultdict(list)
        for result in results:
            partition = partition_of(result.execution_id)
            if partition in self._elsewhere:
                now[partition].append(encode_item(result))
            elif self._kept_count < ASTRAY_RESULTS_MAX:
                self._kept[partition].append(result)
                self._kept_count += 1
            else:
                self._metrics.astray.labels("dropped").inc()
        for partition, bodies in now.items():
            self._spawn(self._send(partition, bodies))

    def tell(self, taken: Collection[int] = ()) -> None:
        """Have all processes look."""
        self._spawn(self._publish(LOOK, msgspec.json.encode(sorted(taken))))

    async def _on_results(self, message: Msg) -> None:
        try:
            results = _results(message.data)
        except InvalidInput:
            _log.exception("a message on %s is no list of results", message.subject)
            return
        if len(message.data) > MAX_STEP_RESULT_BYTES:
            results = [_bounded(result) for result in results]
        astray = self._take(results)
        if not astray:
            return
        if message.headers and FORWARDED.items() <= message.headers.items():
            self._metrics.astray.labels("dropped").inc(len(astray))
        else:
            self.forward(astray)

    def _are_elsewhere(self, partitions: Collection[int]) -> None:
        self._elsewhere.update(partitions)
        for partition in partitions:
            subscription = None if partition in self._commands else self._results.pop(partition, None)
            if subscription is not None:
                self._spawn(_unsubscribe(subscription))
            self._take_again(self._kept.pop(partition, []))

    def _take_again(self, kept: list[TaskResult]) -> None:
        self._kept_count -= len(kept)
        if kept:
            self.forward(self._take(kept))

    async def _send(self, partition: int, bodies: list[bytes]) -> None:
        self._metrics.astray.labels("forwarded").inc(len(bodies))
        for body in pack(bodies):
            await self._publish(result_subject(partition), body, FORWARDED)

    async def _publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            await self._client().publish(subject, body, headers=headers)
        except (NatsError, PlatformError) as error:
            _log.warning("a message on %s could not be sent: %r", subject, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        running = asyncio.create_task(work)
        self._sending.add(running)
        running.add_done_callback(self._sending.discard)


async def _unsubscribe(subscription: Subscription) -> None:
    try:
        await subscription.unsubscribe()
    except (BadSubscriptionError, ConnectionClosedError):
        return  # the connection was closed before


def _bounded(result: TaskResult) -> TaskResult:
    size = len(msgspec.json.encode(result.output))
    if size <= MAX_STEP_RESULT_BYTES:
        return result
    error = TaskError("result_too_large", f"The result has {size:,} bytes; {MAX_STEP_RESULT_BYTES:,} are allowed.")
    return msgspec.structs.replace(result, status="error", output=None, error=error)
