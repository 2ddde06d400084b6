"""What several routes show of executions, and how they find what a request names."""

from typing import Any
from uuid import UUID

from litestar.datastructures import State

from services.workflow.app.queries import ExecutionView, execution_view
from services.workflow.app.states import state_of
from services.workflow.domain.state import ExecutionState
from services.workflow.errors import WorkflowNotActive
from shared.errors import PlatformError
from shared.scope import TenantScope

ONE_EXECUTION = "/api/v1/workflows/workflows/executions/{execution_id:uuid}"


async def shown_execution(
    state: State, caller: TenantScope, execution_id: UUID, upto: int | None = None
) -> ExecutionView:
    """Return an execution as it stands, or as it stood at a version."""
    folded = state_of(await state.executions.history(caller, execution_id, upto=upto))
    view = execution_view(folded, await program_of(state, caller, folded))
    if folded.queued and upto is None:
        view.queued_for = await state.slots.place(caller, execution_id)
    return view


async def program_of(state: State, caller: TenantScope, execution: ExecutionState) -> Any:
    """Return the program that an execution runs, None if it cannot be had any more."""
    if execution.workflow_id is None:
        return None
    try:
        return await state.workflows.program(caller, execution.workflow_id, execution.revision)
    except PlatformError:
        return None  # it is gone, or cannot be read any more: the history says all but the types of its steps


async def workflow_row(state: State, caller: TenantScope, ref: str) -> Any:
    """Return the row of an active workflow by id or slug. Raises `WorkflowNotFound` and `WorkflowNotActive`."""
    try:
        workflow_id, slug = UUID(ref), None
    except ValueError:
        workflow_id, slug = None, ref
    row = await state.workflows.read(caller, workflow_id, slug)
    if row["status"] != "active":
        raise WorkflowNotActive(f"The workflow {row['slug']!r} is {row['status']}: activate it first.")
    return row
