"""Work that the engine hands to a worker and what comes back: both travel as lists on core NATS.

Nothing here is durable. The engine holds a task in its own log and sends it again, under the same `task_id`, when
neither an end nor a heartbeat was heard for a while; so a worker drops what it is working on already and answers what
it has done from memory.
"""

from typing import Any, Literal
from uuid import UUID

import msgspec

from shared.limits import TASK_PRIORITY_DEFAULT
from shared.nesting import NESTING_MAX

PARTITIONS = 32
HEARTBEAT_S = 1.0
"""A worker says "running" so often of each task that is older than this."""


class Task(msgspec.Struct, frozen=True):
    """One piece of work. `task_id` is `<execution_id>/<step_path>/<attempt>`; `deadline_ms` is Unix time.

    `priority` is from 1 to 10, the highest, and orders the tasks of one tenant at a worker.

    Unknown fields are let pass, so that a newer engine can speak to an older worker during a rollout.
    """

    task_id: str
    tenant_id: UUID
    execution_id: UUID
    step_path: str
    attempt: int
    partition: int
    deadline_ms: int
    payload: dict[str, Any]
    traceparent: str | None = None
    priority: int = TASK_PRIORITY_DEFAULT


class TaskError(msgspec.Struct, frozen=True):
    """Why a task failed. `retryable`: the same task may do better later."""

    code: str
    message: str
    retryable: bool = False
    details: dict[str, Any] = {}


class TaskResult(msgspec.Struct, frozen=True):
    """How a task stands: ended well (`output`), ended badly (`error`), or still `running` (a heartbeat).

    Who says `running` may say for how many milliseconds (`quiet_ms`) it need not be asked again.
    """

    execution_id: UUID
    step_path: str
    attempt: int
    status: Literal["ok", "error", "running"]
    output: Any = None
    error: TaskError | None = None
    duration_ms: float = 0.0
    quiet_ms: int = 0


def too_deep() -> TaskError:
    """Return why a result is not taken that could not be read again once it is stored."""
    return TaskError("nesting_too_deep", f"The result is nested deeper than {NESTING_MAX} levels.")


def bad_text() -> TaskError:
    """Return why a result is not taken that has a text in it that cannot be kept (see `shared.texts`)."""
    return TaskError("result_bad_text", "The result has a text with U+0000 or half of a surrogate pair in it.")


def task_id_of(execution_id: UUID, step_path: str, attempt: int) -> str:
    """Return the id of one attempt at one step."""
    return f"{execution_id}/{step_path}/{attempt}"


def partition_of(execution_id: UUID) -> int:
    """Return which partition an execution belongs to. The low bits of both kinds of our ids are evenly spread."""
    return execution_id.int % PARTITIONS


def result_subject(partition: int) -> str:
    """Return where the results of a partition's executions go."""
    return f"results.{partition}"
