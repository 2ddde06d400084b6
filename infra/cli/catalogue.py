"""Workflows by slug: put one into effect, find one, run one to its end."""

from collections.abc import AsyncIterator
from typing import Any

from infra.cli import history
from infra.cli.api import Api
from infra.cli.errors import ApiRefused
from infra.cli.limits import RUN_WAIT, WORKFLOWS_PAGE
from infra.cli.shapes import Execution, Workflow, WorkflowPage
from shared.errors import NotFound

_WORKFLOWS = "/workflows/workflows"
_CONFLICT = 409
# PATCH changes the fields that it names; a file stands for the whole definition, so what it leaves out is named here.
_UNSAID: dict[str, Any] = {
    "description": "",
    "tags": [],
    "category": None,
    "version": "1.0.0",
    "triggers": [],
    "input_schema": None,
    "output": None,
    "timeout_seconds": 3600,
    "max_retries": None,
    "retry_strategy": None,
    "retry": None,
}


async def apply(api: Api, definition: dict[str, Any]) -> Workflow:
    """Store a definition and make it active. One whose slug is taken becomes that workflow's next revision."""
    try:
        workflow = await api.post(_WORKFLOWS, Workflow, definition)
    except ApiRefused as refusal:
        if refusal.status != _CONFLICT:
            raise
        holder = await _holder(api, definition, refusal)
        workflow = await api.patch(f"{_WORKFLOWS}/{holder}", Workflow, {**_UNSAID, **definition})
    if workflow.status == "active":
        return workflow
    return await api.post(f"{_WORKFLOWS}/{workflow.id}/activate", Workflow)


async def find(api: Api, slug: str) -> Workflow:
    """Return the workflow with this slug or id."""
    async for workflow in _all(api):
        if slug in {workflow.slug, workflow.id}:
            return workflow
    raise NotFound(f"There is no workflow {slug!r}.")


async def run(api: Api, workflow_id: str, input_data: dict[str, Any]) -> Execution:
    """Start an execution and return it when it has ended, with its steps."""
    body = {"workflow_id": workflow_id, "input_data": input_data, "context": {}}
    execution = await api.post(f"{_WORKFLOWS}/execute", Execution, body, headers={"Prefer": f"wait={RUN_WAIT}"})
    if not execution.ended:
        async for _ in history.follow(api, execution.id):
            pass  # long ones are waited for on their stream of events, which ends with them
    return await history.execution_of(api, execution.id)


async def _holder(api: Api, definition: dict[str, Any], refusal: ApiRefused) -> str:
    """Return the id of the workflow that holds the definition's slug."""
    async for workflow in _all(api):
        if workflow.slug == definition.get("slug") or workflow.name == definition.get("name"):
            return workflow.id
    raise refusal


async def _all(api: Api) -> AsyncIterator[Workflow]:
    cursor: dict[str, str] = {}
    while True:
        page = await api.get(_WORKFLOWS, WorkflowPage, limit=WORKFLOWS_PAGE, **cursor)
        for workflow in page.workflows:
            yield workflow
        if page.next_cursor is None:
            return
        cursor = {"cursor": page.next_cursor}
