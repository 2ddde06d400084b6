"""Errors of the workflow service and their HTTP statuses."""

from uuid import UUID

from shared.errors import Conflict, NotFound, Unavailable


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


class ExecutionArchived(Conflict):
    """The execution is in the archive: it can be read, and nothing can be done to it any more."""

    code = "execution_archived"

    def __init__(self, execution_id: UUID) -> None:
        super().__init__(f"The execution {execution_id} is archived: it can be read and not changed.")


class ArchiveUnreadable(Unavailable):
    """The archive's store does not answer, or what it gives is not what was put there."""

    code = "archive_unreadable"


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
    "archive_unreadable": 503,
    "workflow_not_found": 404,
    "execution_not_found": 404,
    "execution_archived": 409,
    "workflow_not_active": 409,
    "workflow_in_use": 409,
    "slug_taken": 409,
    "workflow_exists": 409,
    "definition_invalid": 422,
    "input_invalid": 422,
    "template_invalid": 422,
    "condition_invalid": 422,
    "expression_too_costly": 422,
}
