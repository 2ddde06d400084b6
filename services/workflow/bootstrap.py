"""Wires the workflow service."""

from services.workflow.adapters.counters import WorkflowCounters
from services.workflow.adapters.dispatch import SUBJECTS, NatsDispatch
from services.workflow.adapters.emitted import SHAPES
from services.workflow.adapters.executions import PostgresExecutions
from services.workflow.adapters.http_requests import HttpRequests
from services.workflow.adapters.programs import PostgresPrograms
from services.workflow.adapters.transitions import PostgresTransitions
from services.workflow.adapters.triggers import PostgresTriggers
from services.workflow.adapters.workflows import PostgresWorkflows
from services.workflow.app.children import Children, watch_orphans
from services.workflow.app.definitions import Definitions
from services.workflow.app.endings import Endings
from services.workflow.app.engine import Engine
from services.workflow.app.recording import Recorder
from services.workflow.app.starting import Executions
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.config import WorkflowSettings
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.workflow_events import WORKFLOW_EVENTS
from services.workflow.entry.api import make_api
from services.workflow.entry.commands import CommandSender
from services.workflow.entry.consumer import consumers, listen_to_parents, listen_to_results
from services.workflow.entry.triggers import trigger_consumers
from services.workflow.limits import CHILDREN_CONCURRENCY, HTTP_CONCURRENCY, LOOK_FOR_ORPHANS_S
from services.workflow.metrics import EngineMetrics
from shared.net.guard import guarded_client, parse_allowed_hosts
from shared.runtime import open_runtime

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
        executions = Executions(engine, programs, rt.reader)
        children = Children(executions, rt.reader)
        for consumer in consumers(rt.client, executions):
            rt.consume(consumer)
        for consumer in trigger_consumers(PostgresTriggers(rt.worker_pool, programs), executions):
            rt.consume(consumer)
        client = guarded_client(parse_allowed_hosts(settings.allowed_hosts))
        rt.on_close(client.aclose)
        rt.work_on(SUBJECTS["http"], HttpRequests(client).do, concurrency=HTTP_CONCURRENCY)
        rt.work_on(SUBJECTS["workflow"], children.do, concurrency=CHILDREN_CONCURRENCY)
        rt.background("orphans", lambda: watch_orphans(engine, children, LOOK_FOR_ORPHANS_S))
        rt.background("engine", engine.run)
        rt.readiness["engine"] = engine.check_ready
        rt.relay([*EXECUTION_EVENTS.public_types, *WORKFLOW_EVENTS.public_types], SHAPES)
        rt.project(WorkflowCounters())
        reads = PostgresExecutions(rt.tenants, rt.reader)
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
        )

        async def listen() -> None:
            await listen_to_results(rt.client(), engine)
            await listen_to_parents(rt.client(), children)
            await sender.listen()

        await rt.serve(app, before_consuming=listen)
