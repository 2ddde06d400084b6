"""Wires the workflow service."""

import datetime as dt
from functools import partial
from pathlib import Path
from uuid import UUID

from services.workflow.adapters.archive import ReaderWithArchive, WithArchive
from services.workflow.adapters.archive_index import PostgresArchiveIndex
from services.workflow.adapters.counters import WorkflowCounters
from services.workflow.adapters.dispatch import SUBJECTS, NatsDispatch
from services.workflow.adapters.emitted import SHAPES
from services.workflow.adapters.event_periods import EventPeriods
from services.workflow.adapters.execution_lists import PostgresExecutionLists
from services.workflow.adapters.executions import PostgresExecutions
from services.workflow.adapters.http_requests import HttpRequests
from services.workflow.adapters.leases import PostgresLeases
from services.workflow.adapters.object_store import ObjectArchive, open_store
from services.workflow.adapters.offered import PostgresOffered
from services.workflow.adapters.pending_waits import PendingWaits
from services.workflow.adapters.programs import PostgresPrograms
from services.workflow.adapters.refusals import DeadLetters
from services.workflow.adapters.retention import PostgresRetention
from services.workflow.adapters.schedules import PostgresSchedules
from services.workflow.adapters.slots import PostgresSlotReads, PostgresSlots
from services.workflow.adapters.stats import PostgresStats
from services.workflow.adapters.transitions import PostgresTransitions
from services.workflow.adapters.triggers import PostgresTriggers
from services.workflow.adapters.waits import PostgresWaits
from services.workflow.adapters.webhook_keys import DerivedWebhookKeys
from services.workflow.adapters.webhooks import PostgresWebhooks
from services.workflow.adapters.workflows import PostgresWorkflows
from services.workflow.app.admission import Admission
from services.workflow.app.admitting import Admitting
from services.workflow.app.archiver import Archiver
from services.workflow.app.children import Children, watch_orphans
from services.workflow.app.definitions import Definitions
from services.workflow.app.endings import Endings
from services.workflow.app.engine import Engine
from services.workflow.app.hooks import Hooks
from services.workflow.app.items import Accepted, Control
from services.workflow.app.partitions import Partitions
from services.workflow.app.recording import Recorder
from services.workflow.app.retention import keep_to_retention
from services.workflow.app.schedules import Scheduler
from services.workflow.app.starting import Executions
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.app.webhooks import Webhooks
from services.workflow.config import WorkflowSettings
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.workflow_events import WORKFLOW_EVENTS
from services.workflow.entry.api import ReadModels, make_api
from services.workflow.entry.commands import CommandSender
from services.workflow.entry.consumer import consumers, listen_to_parents, verbs
from services.workflow.entry.handover import HandOver
from services.workflow.entry.hooks_api import WebhookParts
from services.workflow.entry.queries import Queries
from services.workflow.entry.routes import NatsRoutes
from services.workflow.entry.triggers import trigger_consumers
from services.workflow.limits import CHILDREN_CONCURRENCY, HELD_CONNECTIONS, HTTP_CONCURRENCY, LOOK_FOR_ORPHANS_S
from services.workflow.metrics import EngineMetrics, RetentionMetrics, TriggerMetrics
from shared.db.kept import KeptConnections
from shared.ids import new_id
from shared.net.guard import guarded_client, parse_allowed_hosts
from shared.runtime import Runtime, open_runtime
from shared.secrets.opening import open_secrets
from shared.tail.leader import lead
from shared.tail.relay import CHECKPOINT as RELAY

NAME = "workflow"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _archived_reads(rt: Runtime, settings: WorkflowSettings) -> WithArchive:
    """Project executions, archive what is kept no longer, and return the way to read what is where."""
    projections = WorkflowCounters(), PendingWaits()
    rt.project(*projections)
    days, metrics = settings.workflow_retention_days, RetentionMetrics(rt.registry)
    objects = ObjectArchive(open_store(settings.workflow_archive_url, Path(settings.data_dir) / "archive"))
    archiver = Archiver(PostgresArchiveIndex(rt.worker_pool, projections, days, [RELAY]), objects, metrics)
    retain = partial(keep_to_retention, EventPeriods(rt.worker_pool, metrics, days), archiver)
    rt.background("retention", partial(lead, rt.worker_pool, "retention", retain))
    return WithArchive(PostgresExecutions(rt.tenants, rt.reader), rt.tenants, objects)


def _transitions(rt: Runtime) -> PostgresTransitions:
    writing = KeptConnections(rt.worker_pool)
    rt.on_close(writing.close)
    return PostgresTransitions(rt.worker_pool, rt.log, writing)


def _do_http_steps(rt: Runtime, settings: WorkflowSettings) -> None:
    client = guarded_client(parse_allowed_hosts(settings.allowed_hosts))
    rt.on_close(client.aclose)
    secrets = open_secrets(rt, settings.workflow_secrets_seed, "AGENTIC_WORKFLOW_SECRETS_SEED")
    rt.work_on(SUBJECTS["http"], HttpRequests(client, secrets).do, concurrency=HTTP_CONCURRENCY)


async def run(settings: WorkflowSettings) -> None:
    """Serve until SIGTERM."""
    async with open_runtime(NAME, settings, plan_once=True, held=HELD_CONNECTIONS) as rt:
        programs = PostgresPrograms(rt.worker_pool)
        transitions = _transitions(rt)
        states = States(transitions, programs)
        tracking, metrics = Tracking(), EngineMetrics(rt.registry)
        recorder = Recorder(transitions, states, tracking, NatsDispatch(rt.client), rt.waker, metrics)
        engine_id = new_id()
        routes = NatsRoutes(rt.client, engine_id, metrics)
        engine = Engine(transitions, states, tracking, recorder, metrics, routes)
        leases = PostgresLeases(rt.worker_pool, engine_id, settings.instance)
        partitions = Partitions(engine_id, leases, routes, engine, rt.stopping, metrics)
        slots = PostgresSlots(rt.worker_pool)

        async def tell(execution_id: UUID, tenant_id: UUID, command: Control, actor: str) -> Accepted:
            return await handover.tell(execution_id, tenant_id, command, actor)

        reads = _archived_reads(rt, settings)
        reader = ReaderWithArchive(reads)
        admission = Admission(slots, engine, programs, rt.reader)
        table = verbs(Executions(engine, programs, reader, admission, tell))
        handover = HandOver(rt.client, engine_id, routes, table, metrics)
        admitting = Admitting(slots, tell, rt.waker)
        children = Children(handover, reader)
        for consumer in consumers(rt.client, table, handover):
            rt.consume(consumer)
        for consumer in trigger_consumers(PostgresTriggers(rt.worker_pool, programs), handover):
            rt.consume(consumer)
        trigger_metrics, letters = TriggerMetrics(rt.registry), DeadLetters(NAME, rt.client)
        schedules = PostgresSchedules(rt.worker_pool)
        scheduler = Scheduler(schedules, programs, handover, trigger_metrics, letters, _now)
        rt.background("schedules", partial(lead, rt.worker_pool, "schedules", scheduler.run))
        _do_http_steps(rt, settings)
        rt.work_on(SUBJECTS["workflow"], children.do, concurrency=CHILDREN_CONCURRENCY)
        rt.background("orphans", lambda: watch_orphans(engine, children, LOOK_FOR_ORPHANS_S))
        rt.background("engine", partitions.run)
        rt.background("slots", lambda: lead(rt.worker_pool, "slots", admitting.run))
        rt.readiness["engine"] = partitions.check_ready
        rt.relay([*EXECUTION_EVENTS.public_types, *WORKFLOW_EVENTS.public_types], SHAPES)
        endings = Endings(reads, rt.waker)
        rt.background("endings", endings.run)
        sender = CommandSender(rt.client)
        workflows = PostgresWorkflows(rt.tenants, rt.reader, rt.waker)
        queries = Queries(reads, workflows, PostgresOffered(rt.worker_pool, rt.log))
        webhooks = PostgresWebhooks(rt.tenants, rt.worker_pool)
        keys = DerivedWebhookKeys(bytes.fromhex(settings.workflow_master_key))
        app = make_api(
            rt,
            workflows=workflows,
            definitions=Definitions(workflows),
            executions=reads,
            reads=ReadModels(
                PostgresExecutionLists(rt.tenants),
                PostgresStats(rt.tenants, rt.reader),
                PostgresWaits(rt.tenants, rt.reader),
                PostgresSlotReads(rt.tenants),
                PostgresRetention(rt.tenants, settings.workflow_retention_days),
            ),
            sender=sender,
            endings=endings,
            webhook_parts=WebhookParts(
                Webhooks(workflows, webhooks, keys), Hooks(webhooks, keys, programs), trigger_metrics
            ),
        )

        async def listen() -> None:
            await routes.listen(engine.results, partitions.look)
            await handover.listen()
            await listen_to_parents(rt.client(), children)
            await sender.listen()
            await queries.listen(rt.client())

        await rt.serve(app, before_consuming=listen)
