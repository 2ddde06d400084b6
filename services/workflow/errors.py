"""Errors of the workflow service and their HTTP statuses."""

from uuid import UUID

from services.workflow.limits import MAX_QUEUED_PER_KEY, MAX_REPORTED_NAMES
from shared.errors import Conflict, NotFound, PlatformError, Unauthenticated, Unavailable, Unprocessable


class EngineBusy(Unavailable):
    """The engine cannot take this now."""

    code = "engine_busy"


class PartitionMoving(Unavailable):
    """The execution is just going from one process to another, or from one that died."""

    code = "partition_moving"


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


class ForkPointUnknown(Unprocessable):
    """The execution has no such step to be forked from."""

    code = "fork_point_unknown"

    def __init__(self, path: str, known: list[str]) -> None:
        names = ", ".join(known[:MAX_REPORTED_NAMES]) or "none"
        super().__init__(f"The execution never came to a step {path!r}; it came to: {names}.")


class ForkPointUndoes(Unprocessable):
    """The step undoes what others did: without what these were to be undone for, there is nothing to go on from."""

    code = "fork_point_undoes"

    def __init__(self, path: str) -> None:
        super().__init__(f"The step {path!r} undoes another one: fork from one that the execution came to before that.")


class WaitNotFound(NotFound):
    """There is no such approval or wait in this tenant."""

    code = "wait_not_found"

    def __init__(self, wait_id: UUID) -> None:
        super().__init__(f"There is no approval {wait_id}.")


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


class ToolNameTaken(Conflict):
    """Another workflow of the tenant is offered as a tool of this name."""

    code = "tool_name_taken"


class WorkflowExists(Conflict):
    """There is a workflow with this id, defined by the event at `position`."""

    code = "workflow_exists"

    def __init__(self, workflow_id: UUID, position: int) -> None:
        super().__init__(f"There is a workflow {workflow_id} already.")
        self.position = position


class WebhookNotFound(NotFound):
    """There is no such webhook: unknown, removed, or mistyped."""

    code = "webhook_not_found"


class WebhookUnsigned(Unauthenticated):
    """A header that a signed request has is missing or malformed."""

    code = "webhook_unsigned"


class WebhookSignatureWrong(Unauthenticated):
    """The request is not signed with the webhook's key, or was changed since."""

    code = "webhook_signature_wrong"


class WebhookStale(Unauthenticated):
    """The request was signed too long ago, or in the future."""

    code = "webhook_timestamp_stale"


class UnsupportedMediaType(PlatformError):
    """The body is of a type that is not taken."""

    code = "unsupported_media_type"


STATUSES = {
    "engine_busy": 503,
    "store_away": 503,
    "archive_unreadable": 503,
    "partition_moving": 503,
    "workflow_not_found": 404,
    "execution_not_found": 404,
    "wait_not_found": 404,
    "execution_archived": 409,
    "workflow_not_active": 409,
    "execution_ended": 409,
    "execution_paused": 409,
    "execution_ending": 409,
    "execution_not_retryable": 409,
    "approval_not_pending": 409,
    "too_many_signals": 409,
    "not_an_assignee": 403,
    "fork_point_unknown": 422,
    "fork_point_undoes": 422,
    "workflow_in_use": 409,
    "slug_taken": 409,
    "tool_name_taken": 409,
    "workflow_exists": 409,
    "concurrency_limit": 409,
    "concurrency_queue_full": 409,
    "concurrency_key_invalid": 422,
    "definition_invalid": 422,
    "input_invalid": 422,
    "attributes_invalid": 422,
    "template_invalid": 422,
    "condition_invalid": 422,
    "expression_too_costly": 422,
    "template_unresolved": 422,
    "template_filter_failed": 422,
    "template_too_large": 422,
    "webhook_not_found": 404,
    "webhook_unsigned": 401,
    "webhook_signature_wrong": 401,
    "webhook_timestamp_stale": 401,
}
