"""The way of results to the process that owns their partition: one subscription each. And who owns which.

A batch of tasks goes out with one partition, so that its results travel in lists; any partition of the same process
will do. So a result may come to a process that is not, or no longer, its execution's: it is sent on once, with a mark.
What is sent on and misses again is dropped, and its task sent again three seconds later.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import BadSubscriptionError, ConnectionClosedError
from nats.errors import Error as NatsError

from services.workflow.limits import ASTRAY_RESULTS_MAX, ENGINE_MAX_QUEUED, MAX_STEP_RESULT_BYTES
from services.workflow.metrics import EngineMetrics
from shared.bus.envelope import EnvelopeDecoder, encode_item, pack
from shared.bus.tasks import TaskError, TaskResult, bad_text, partition_of, result_subject, too_deep
from shared.errors import InvalidInput, PlatformError
from shared.limits import NATS_PENDING_BYTES
from shared.nesting import is_deep, may_be_deep
from shared.texts import holds_null, may_hold_null

LOOK = "commands.workflow.look-at-partitions"
"""To all processes: look at the leases. The body (`Taken`) says what its sender decides from now on."""
FORWARDED = {"forwarded": "1"}

_log = logging.getLogger(__name__)
_results = EnvelopeDecoder(TaskResult)

Take = Callable[[list[TaskResult]], list[TaskResult]]
"""Takes results and returns those that are decided elsewhere."""


class Taken(msgspec.Struct, frozen=True):
    """Partitions that an engine has just taken up, perhaps none."""

    engine_id: UUID
    partitions: list[int] = []


_taken = msgspec.json.Decoder(Taken).decode


class NatsRoutes:
    """`Routes` on the service's connection."""

    def __init__(self, client: Callable[[], Client], engine_id: UUID, metrics: EngineMetrics) -> None:
        self._engine_id = engine_id
        self._client = client
        self._metrics = metrics
        self._results: dict[int, Subscription] = {}
        self._ours: set[int] = set()
        self._others: dict[int, UUID] = {}
        self._kept: dict[int, list[TaskResult]] = defaultdict(list)
        self._kept_count = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def listen(self, take: Take, look: Callable[[], None]) -> None:
        """Say what to do with results, and when others say to look, before any partition is opened."""
        self._take = take

        async def on_look(message: Msg) -> None:
            try:
                taken = _taken(message.data)
            except msgspec.MsgspecError:
                _log.exception("a message on %s cannot be read", message.subject)
                return
            if taken.engine_id != self._engine_id:
                self._are_elsewhere(dict.fromkeys(taken.partitions, taken.engine_id))
                look()

        await self._client().subscribe(LOOK, cb=on_look)

    async def open(self, partitions: Collection[int]) -> None:
        """Hear results of these partitions."""
        client = self._client()
        for partition in partitions:
            self._ours.add(partition)
            self._others.pop(partition, None)
            if partition not in self._results:
                self._results[partition] = await client.subscribe(
                    result_subject(partition),
                    cb=self._on_results,
                    pending_msgs_limit=ENGINE_MAX_QUEUED,
                    pending_bytes_limit=NATS_PENDING_BYTES,
                )
            self._take_again(self._kept.pop(partition, []))

    def close(self, partitions: Collection[int]) -> None:
        """Go on to hear their results until another process does: they are sent on to it then."""
        self._ours.difference_update(partitions)

    def follow(self, owners: Mapping[int, UUID]) -> None:
        """Send on what is kept for partitions that others own, and hear their results no longer."""
        self._others.clear()
        self._are_elsewhere({partition: owner for partition, owner in owners.items() if owner != self._engine_id})

    def owner_of(self, execution_id: UUID) -> UUID | None:
        """Return the engine that decides an execution, if that is another one and known."""
        return self._others.get(partition_of(execution_id))

    def forward(self, results: Sequence[TaskResult]) -> None:
        """Send on, now or once the owner is known."""
        now: dict[int, list[bytes]] = defaultdict(list)
        for result in results:
            partition = partition_of(result.execution_id)
            if partition in self._others:
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
        self._spawn(self._publish(LOOK, msgspec.json.encode(Taken(self._engine_id, sorted(taken)))))

    async def _on_results(self, message: Msg) -> None:
        try:
            results = _results(message.data)
        except InvalidInput:
            _log.exception("a message on %s is no list of results", message.subject)
            return
        if len(message.data) > MAX_STEP_RESULT_BYTES:
            results = [_bounded(result) for result in results]
        if may_be_deep(message.data) and is_deep([[r.output, r.error and r.error.details] for r in results]):
            results = [_shallow(result) for result in results]
        if may_hold_null(message.data):
            results = [_storable(result) for result in results]
        astray = self._take(results)
        if not astray:
            return
        if message.headers and FORWARDED.items() <= message.headers.items():
            self._metrics.astray.labels("dropped").inc(len(astray))
        else:
            self.forward(astray)

    def _are_elsewhere(self, owners: Mapping[int, UUID]) -> None:
        for partition, owner in owners.items():
            if partition in self._ours:
                continue  # it was taken from us: we shall see it in the leases, and stop deciding first
            self._others[partition] = owner
            subscription = self._results.pop(partition, None)
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


def _shallow(result: TaskResult) -> TaskResult:
    """Return a result that can be read again once it is stored."""
    if not is_deep(result.output) and not (result.error and is_deep(result.error.details)):
        return result
    return msgspec.structs.replace(result, status="error", output=None, error=too_deep())


def _storable(result: TaskResult) -> TaskResult:
    """Return a result whose texts fit into any column."""
    error = result.error
    if not holds_null([result.output, error and [error.code, error.message, error.details]]):
        return result
    return msgspec.structs.replace(result, status="error", output=None, error=bad_text())
