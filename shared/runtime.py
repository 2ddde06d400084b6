"""What every service process holds open, and how it starts, serves and stops."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import asyncpg
import uvloop
from faststream.nats import NatsBroker
from litestar.types import ASGIApp
from nats.aio.client import Client
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from shared.auth.remote import RemoteAuthority
from shared.auth.revocations import listen_to_revocations
from shared.auth.verifier import Authority, Verifier
from shared.bus.broker import client_of, make_broker
from shared.bus.cloudevents import Shape
from shared.bus.durable import DurableConsumer, DurableReader
from shared.bus.streams import ensure_streams
from shared.bus.worker import Do, TaskWorker
from shared.db.pool import TenantPool, open_pool, open_worker_pool
from shared.errors import Unavailable
from shared.eventstore.postgres import PostgresEventLog, PostgresEventReader
from shared.http.idempotency import purge
from shared.http.operations import Check
from shared.http.serve import make_server, until_stopped
from shared.limits import CANCEL_AGAIN_S, DRAIN_S, GC_THRESHOLD
from shared.settings import Settings
from shared.tail.leader import lead
from shared.tail.projection import Projection, ProjectionRunner
from shared.tail.rebuilder import Rebuilder
from shared.tail.relay import Relay
from shared.tail.waker import Waker
from shared.telemetry.logs import configure_logging
from shared.telemetry.metrics import WorkerMetrics

_log = logging.getLogger(__name__)


class Runtime:
    """The connections of one process, and the work that goes on beside its HTTP server."""

    def __init__(
        self, service: str, settings: Settings, pool: "asyncpg.Pool[Any]", worker_pool: "asyncpg.Pool[Any]"
    ) -> None:
        self.service = service
        self.settings = settings
        self.tenants = TenantPool(pool)
        self.worker_pool = worker_pool
        self.log = PostgresEventLog(worker_pool)
        self.reader = PostgresEventReader(self.tenants)
        self.broker: NatsBroker = make_broker(settings, service)
        self.waker = Waker(service)
        self.verifier = Verifier(RemoteAuthority(self.client))
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.readiness: dict[str, Check] = {"postgres": self.tenants.ping, "nats": self._ping_nats}
        self._work: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._hearing: list[Callable[[Client], Awaitable[None]]] = []
        self._draining: list[Callable[[], Awaitable[None]]] = []
        self._worker_metrics: WorkerMetrics | None = None
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self.stopping = asyncio.Event()
        """Set when the process begins to stop: what has no end of its own, such as a stream, ends then."""
        self.background("revocations", lambda: listen_to_revocations(self.client(), self.verifier))
        self.background("idempotency", lambda: lead(worker_pool, "idempotency", lambda: purge(worker_pool)))

    def client(self) -> Client:
        """Return the NATS client (connected once `serve` began)."""
        return client_of(self.broker)

    def use_authority(self, authority: Authority) -> None:
        """Verify credentials here instead of asking the tenant service: for the tenant service itself."""
        self.verifier = Verifier(authority)

    def background(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` beside the server. If it ends by an exception the process stops, to be started afresh."""
        self._work.append((name, work))

    def on_close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` after the last request and before the connections go; the last one registered goes first."""
        self._closing.append(close)

    def consume(self, consumer: DurableConsumer) -> None:
        """Read a durable consumer's messages."""
        reader = DurableReader(consumer)
        self._hearing.append(reader.start)
        self._draining.append(reader.drain)
        self.background(f"consumer {consumer.durable}", reader.watch)

    def work_on(self, subject: str, do: Do, *, concurrency: int) -> None:
        """Do the tasks of a subject, `concurrency` at a time."""
        if self._worker_metrics is None:
            self._worker_metrics = WorkerMetrics(self.registry)
        worker = TaskWorker(
            subject, service=self.service, do=do, concurrency=concurrency, client=self.client,
            metrics=self._worker_metrics,
        )  # fmt: skip
        self._hearing.append(worker.start)
        self._draining.append(worker.drain)
        self.background(f"heartbeats of {subject}", worker.beat)

    def relay(self, public_types: list[str], shapes: Mapping[str, Shape] = MappingProxyType({})) -> None:
        """Publish the service's public events, from one replica at a time; those of some types as `shapes` says."""

        async def work() -> None:
            await Relay(self.service, self.log, self.client(), self.waker, public_types, shapes).run()

        self.background("relay", lambda: lead(self.worker_pool, "relay", work))

    def project(self, *projections: Projection) -> None:
        """Keep read models up to date, from one replica at a time, and rebuild one when the operator says so."""
        for projection in projections:
            runner = ProjectionRunner(projection, self.log, self.worker_pool, self.waker)
            self.background(projection.name, partial(lead, self.worker_pool, projection.name, runner.run))
        rebuilder = Rebuilder(self.service, projections, self.log, self.worker_pool)
        rebuilder.register(self.broker)

    async def serve(self, app: ASGIApp, *, before_consuming: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect, consume and serve until SIGTERM or SIGINT; then drain and return."""
        stop = self.stopping
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.broker.connect()
        await ensure_streams(self.client().jetstream())
        await self.waker.connect(self.client())
        if before_consuming:
            await before_consuming()
        tasks = [asyncio.create_task(work(), name=name) for name, work in self._work]
        await self.broker.start()
        for start in self._hearing:
            await start(self.client())
        failed = asyncio.create_task(_first_failure(tasks, stop))
        try:
            await until_stopped(stop, make_server(app, self.settings))
        finally:
            failed.cancel()
            await self._drain()
            await _ended([*tasks, failed])
            await self.broker.stop()
            for close in reversed(self._closing):
                await close()
        for task in tasks:
            if not task.cancelled() and task.exception() is not None:
                raise RuntimeError(f"{task.get_name()} failed") from task.exception()

    async def _drain(self) -> None:
        """Take nothing more from the bus, and give what was taken `DRAIN_S` to end: what does not comes again."""
        try:
            async with asyncio.timeout(DRAIN_S):
                ends = await asyncio.gather(*(drain() for drain in self._draining), return_exceptions=True)
        except TimeoutError:
            _log.warning("not all that was taken from the bus could be ended in time")
            return
        for error in ends:
            if isinstance(error, BaseException):
                _log.warning("a reader of the bus could not be drained: %r", error)

    async def _ping_nats(self) -> None:
        client = self.client()
        if not client.is_connected:
            raise Unavailable("not connected")
        await client.flush(timeout=1)


async def _ended(tasks: "list[asyncio.Task[None]]") -> None:
    """Cancel tasks until they end. Once may not be enough: a wait that is just over can swallow a cancellation."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


async def _first_failure(tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
    if not tasks:
        return
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        if not task.cancelled() and task.exception() is not None:
            _log.error("%s failed: the process stops", task.get_name(), exc_info=task.exception())
            stop.set()


@asynccontextmanager
async def open_runtime(
    service: str, settings: Settings, *, plan_once: bool = False, held: int = 0
) -> AsyncIterator[Runtime]:
    """Open a service's database pools and, at the end, close them."""
    pool = await open_pool(settings.postgres_dsn, name=f"{service}-api")
    worker_pool = await open_worker_pool(
        settings.postgres_worker_dsn, name=f"{service}-worker", plan_once=plan_once, held=held
    )
    try:
        yield Runtime(service, settings, pool, worker_pool)
    finally:
        await worker_pool.close()
        await pool.close()


def run_service(service: str, settings: Settings, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service's `main` on uvloop with JSON logs, until it returns."""
    configure_logging(service, settings.log_level)
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
    _log.info("%s starts", service)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    _log.info("%s stopped", service)
