"""The HTTP API of the workflow service."""

from typing import NamedTuple

from litestar import Litestar

from services.workflow.app.definitions import Definitions
from services.workflow.app.endings import Endings
from services.workflow.app.lists import ExecutionLists
from services.workflow.app.ports import ExecutionReads, WorkflowReads
from services.workflow.app.slots import SlotReads
from services.workflow.app.stats import StatsReads
from services.workflow.app.waits import WaitReads
from services.workflow.entry import (
    approvals_api,
    controls_api,
    executions_api,
    executions_list_api,
    hooks_api,
    retention_api,
    revisions_api,
    stats_api,
    time_travel_api,
    workflows_api,
)
from services.workflow.entry.commands import CommandSender
from services.workflow.errors import STATUSES
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.runtime import Runtime


class ReadModels(NamedTuple):
    """What lists, figures and policies come from."""

    execution_lists: ExecutionLists
    stats: StatsReads
    waits: WaitReads
    slots: SlotReads
    retention: retention_api.Retention


_ROUTES = (
    workflows_api,
    revisions_api,
    executions_api,
    executions_list_api,
    controls_api,
    time_travel_api,
    stats_api,
    approvals_api,
    hooks_api,
    retention_api,
)


def make_api(
    rt: Runtime,
    *,
    workflows: WorkflowReads,
    definitions: Definitions,
    executions: ExecutionReads,
    reads: ReadModels,
    sender: CommandSender,
    endings: Endings,
    webhook_parts: hooks_api.WebhookParts,
) -> Litestar:
    """Return the application."""
    register_statuses(STATUSES)
    return make_app(
        rt.service,
        "Workflows",
        [handler for module in _ROUTES for handler in module.HANDLERS],
        verifier=rt.verifier,
        registry=rt.registry,
        readiness=rt.readiness,
        state={
            "tenants": rt.tenants,
            "waker": rt.waker,
            "stopping": rt.stopping,
            "workflows": workflows,
            "definitions": definitions,
            "executions": executions,
            "execution_lists": reads.execution_lists,
            "stats": reads.stats,
            "waits": reads.waits,
            "sender": sender,
            "endings": endings,
            "webhook_parts": webhook_parts,
            "slots": reads.slots,
            "retention": reads.retention,
        },
    )
