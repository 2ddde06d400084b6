"""The HTTP API of the workflow service."""

from litestar import Litestar

from services.workflow.app.definitions import Definitions
from services.workflow.app.endings import Endings
from services.workflow.app.ports import ExecutionReads, WorkflowReads
from services.workflow.entry import executions_api, retention_api, workflows_api
from services.workflow.entry.commands import CommandSender
from services.workflow.errors import STATUSES
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.runtime import Runtime


def make_api(
    rt: Runtime,
    *,
    workflows: WorkflowReads,
    definitions: Definitions,
    executions: ExecutionReads,
    sender: CommandSender,
    endings: Endings,
    retention: retention_api.Retention,
) -> Litestar:
    """Return the application."""
    register_statuses(STATUSES)
    return make_app(
        rt.service,
        "Workflows",
        [*workflows_api.HANDLERS, *executions_api.HANDLERS, *retention_api.HANDLERS],
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
            "sender": sender,
            "endings": endings,
            "retention": retention,
        },
    )
