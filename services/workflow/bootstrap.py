"""Wires the workflow service."""

from functools import partial
from pathlib import Path

from services.workflow.adapters.archive import WithArchive
from services.workflow.adapters.archive_index import PostgresArchiveIndex
from services.workflow.adapters.counters import WorkflowCounters
from services.workflow.adapters.dispatch import SUBJECTS, NatsDispatch
from services.workflow.adapters.executions import PostgresExecutions
from services.workflow.adapters.http_requests import HttpRequests
from services.workflow.adapters.object_store import ObjectArchive, open_store
from services.workflow.adapters.partitions import EventPartitions
from services.workflow.adapters.programs import PostgresPrograms
from services.workflow.adapters.retention import PostgresRetention
from services.workflow.adapters.transitions import PostgresTransitions
from services.workflow.adapters.triggers import PostgresTriggers
from services.workflow.adapters.workflows import PostgresWorkflows
from services.workflow.app.archiver import Archiver
from services.workflow.app.definitions import Definitions
from services.workflow.app.endings import Endings
from services.workflow.app.engine import Engine
from services.workflow.app.recording import Recorder
from services.workflow.app.retention import keep_to_retention
from services.workflow.app.starting import Executions
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.config import WorkflowSettings
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.workflow_events import WORKFLOW_EVENTS
from services.workflow.entry.api import make_api
from services.workflow.entry.commands import CommandSender
from services.workflow.entry.consumer import consumers, listen_to_results
from services.workflow.entry.triggers import trigger_consumer
from services.workflow.limits import HTTP_CONCURRENCY
from services.workflow.metrics import EngineMetrics, RetentionMetrics
from shared.net.guard import guarded_client, parse_allowed_hosts
from shared.runtime import open_runtime
from shared.tail.leader import lead

NAME = "workflow"


async def run(settings: WorkflowSettings) -> None:
    """Serve until SIGTERM."""
    async with open_runtime(NAME, settings) as rt:
        programs = PostgresPrograms(rt.worker_pool)
        transitions = PostgresTransitions(rt.worker_pool, rt.log)
        states = States(transitions, programs)
        tracking, metrics = Tracking(), EngineMetrics(rt.registry)
        recorder = Recorder(transitions, states, tracking, NatsDispatch(rt.client), rt.waker, metrics)
        engine = Engine(transitions, states, tracking, recorder, metrics)
        executions = Executions(engine, programs)
        for consumer in consumers(rt.client, executions):
            rt.consume(consumer)
        rt.consume(trigger_consumer(PostgresTriggers(rt.worker_pool, programs), executions))
        client = guarded_client(parse_allowed_hosts(settings.allowed_hosts))
        rt.on_close(client.aclose)
        rt.work_on(SUBJECTS["http"], HttpRequests(client).do, concurrency=HTTP_CONCURRENCY)
        rt.background("engine", engine.run)
        rt.readiness["engine"] = engine.check_ready
        rt.relay([*EXECUTION_EVENTS.public_types, *WORKFLOW_EVENTS.public_types])
        counters = WorkflowCounters()
        rt.project(counters)
        days = settings.workflow_retention_days
        objects = ObjectArchive(open_store(settings.workflow_archive_url, Path(settings.data_dir) / "archive"))
        retained = RetentionMetrics(rt.registry)
        archiver = Archiver(PostgresArchiveIndex(rt.worker_pool, counters, days), objects, retained)
        retain = partial(keep_to_retention, EventPartitions(rt.worker_pool, retained, days), archiver)
        rt.background("retention", partial(lead, rt.worker_pool, "retention", retain))
        reads = WithArchive(PostgresExecutions(rt.tenants, rt.reader), rt.tenants, objects)
        endings = Endings(reads, rt.waker)
        rt.background("endings", endings.run)
        sender = CommandSender(rt.client)
        workflows = PostgresWorkflows(rt.tenants, rt.reader, rt.waker)
        app = make_api(
            rt,
            workflows=workflows,
            definitions=Definitions(workflows),
            executions=reads,
            sender=sender,
            endings=endings,
            retention=PostgresRetention(rt.tenants, days),
        )

        async def listen() -> None:
            await listen_to_results(rt.client(), engine)
            await sender.listen()

        await rt.serve(app, before_consuming=listen)
