"""Workflows by slug: put one into effect, run one to its end."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from infra.cli import history
from infra.cli.api import Api
from infra.cli.errors import ApiRefused, WorkflowUnknown
from infra.cli.limits import RUN_WAIT, WORKFLOWS_PAGE
from infra.cli.shapes import Execution, Validation, Workflow, WorkflowDetail, WorkflowDetails, WorkflowPage

WORKFLOWS = "/workflows/workflows"
_SLUG_TAKEN = "slug_taken"
# PATCH changes the fields that it names; a file stands for the whole definition, so what it leaves out is named here.
_UNSAID: dict[str, Any] = {
    "description": "",
    "tags": [],
    "category": None,
    "version": "1.0.0",
    "triggers": [],
    "input_schema": None,
    "output": None,
    "search_attributes": {},
    "timeout_seconds": 3600,
    "max_retries": None,
    "retry_strategy": None,
    "retry": None,
}


async def apply(api: Api, definition: dict[str, Any]) -> Workflow:
    """Store a definition and make it active. One whose slug is taken becomes that workflow's next revision."""
    try:
        workflow = await api.post(WORKFLOWS, Workflow, definition)
    except ApiRefused as refusal:
        if refusal.code != _SLUG_TAKEN:
            raise
        holder = await _holder(api, definition, refusal)
        workflow = await api.patch(f"{WORKFLOWS}/{holder}", Workflow, {**_UNSAID, **definition})
    if workflow.status == "active":
        return workflow
    return await api.post(f"{WORKFLOWS}/{workflow.id}/activate", Workflow)


async def run(api: Api, workflow: str, input_data: dict[str, Any]) -> Execution:
    """Start an execution of a workflow (its id or slug) and return it when it has ended, with its steps."""
    body = {"workflow_id": workflow, "input_data": input_data, "context": {}}
    execution = await api.post(f"{WORKFLOWS}/execute", Execution, body, headers={"Prefer": f"wait={RUN_WAIT}"})
    if not execution.ended:
        async for _ in history.follow(api, execution.id):
            pass  # long ones are waited for on their stream of events, which ends with them
    return await history.execution_of(api, execution.id)


async def named(api: Api, what: str) -> WorkflowDetail:
    """Return the workflow with this slug or id. Raises `WorkflowUnknown`, or what the API says of the id."""
    try:
        UUID(what)
    except ValueError:
        async for workflow in every(api, slug=what):
            return workflow
        raise WorkflowUnknown(f"There is no workflow with the slug {what!r}.") from None
    return await api.get(f"{WORKFLOWS}/{what}", WorkflowDetail)


async def every(api: Api, **narrowed: str) -> AsyncIterator[WorkflowDetail]:
    """Yield the tenant's workflows, oldest first, as far as `narrowed` (status, category, tag, slug, q) lets them."""
    cursor: dict[str, str] = {}
    while True:
        page = await api.get(WORKFLOWS, WorkflowDetails, limit=WORKFLOWS_PAGE, **narrowed, **cursor)
        for workflow in page.workflows:
            yield workflow
        if page.next_cursor is None:
            return
        cursor = {"cursor": page.next_cursor}


async def _holder(api: Api, definition: dict[str, Any], refusal: ApiRefused) -> str:
    """Return the id of the workflow that holds the definition's slug: the one it names, or that its name gives."""
    slug = definition.get("slug") or (await api.post(f"{WORKFLOWS}/validate", Validation, definition)).slug
    page = await api.get(WORKFLOWS, WorkflowPage, slug=slug)
    for workflow in page.workflows:
        if workflow.slug == slug:
            return workflow.id
    raise refusal
