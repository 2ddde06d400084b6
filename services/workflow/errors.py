"""Errors of the workflow service and their HTTP statuses."""

from uuid import UUID

from services.workflow.limits import MAX_QUEUED_PER_KEY, MAX_REPORTED_NAMES
from shared.errors import Conflict, NotFound, Unavailable, Unprocessable


class EngineBusy(Unavailable):
    """The engine cannot take this now."""

    code = "engine_busy"


class StoreAway(Unavailable):
    """The event store does not answer; whether the last write happened is unknown."""

    code = "store_away"


class WorkflowNotFound(NotFound):
    """There is no such workflow in this tenant."""

    code = "workflow_not_found"


class ExecutionNotFound(NotFound):
    """There is no such execution in this tenant."""

    code = "execution_not_found"

    def __init__(self, execution_id: UUID) -> None:
        super().__init__(f"There is no execution {execution_id}.")


class ForkPointUnknown(Unprocessable):
    """The execution has no such step to be forked from."""

    code = "fork_point_unknown"

    def __init__(self, path: str, known: list[str]) -> None:
        names = ", ".join(known[:MAX_REPORTED_NAMES]) or "none"
        super().__init__(f"The execution never came to a step {path!r}; it came to: {names}.")


class ConcurrencyLimit(Conflict):
    """As many executions with the same concurrency key run as may."""

    code = "concurrency_limit"

    def __init__(self, key: str, limit: int) -> None:
        super().__init__(
            f"As many executions with the concurrency key {key!r} run as may, which is {limit:,}: try again when one "
            "has ended, or cancel one."
        )


class ConcurrencyQueueFull(Conflict):
    """As many executions wait for the same concurrency key as may."""

    code = "concurrency_queue_full"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{MAX_QUEUED_PER_KEY:,} executions wait for the concurrency key {key!r} already, and no more may: try "
            "again later, or cancel some of them."
        )


class WorkflowNotActive(Conflict):
    """Only an active workflow runs."""

    code = "workflow_not_active"


class WorkflowInUse(Conflict):
    """The workflow has executions, so that it can be archived and not deleted."""

    code = "workflow_in_use"


class SlugTaken(Conflict):
    """Another workflow of the tenant has this slug."""

    code = "slug_taken"


class WorkflowExists(Conflict):
    """There is a workflow with this id, defined by the event at `position`."""

    code = "workflow_exists"

    def __init__(self, workflow_id: UUID, position: int) -> None:
        super().__init__(f"There is a workflow {workflow_id} already.")
        self.position = position


STATUSES = {
    "engine_busy": 503,
    "store_away": 503,
    "workflow_not_found": 404,
    "execution_not_found": 404,
    "workflow_not_active": 409,
    "execution_ended": 409,
    "execution_paused": 409,
    "execution_not_retryable": 409,
    "approval_not_pending": 409,
    "too_many_signals": 409,
    "not_an_assignee": 403,
    "fork_point_unknown": 422,
    "workflow_in_use": 409,
    "slug_taken": 409,
    "workflow_exists": 409,
    "concurrency_limit": 409,
    "concurrency_queue_full": 409,
    "concurrency_key_invalid": 422,
    "definition_invalid": 422,
    "input_invalid": 422,
    "template_invalid": 422,
    "condition_invalid": 422,
    "expression_too_costly": 422,
}
