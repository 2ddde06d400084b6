"""What waits for the engine's next turn."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.limits import DEFAULT_PRIORITY
from shared.bus.tasks import TaskResult


class Accepted(msgspec.Struct, frozen=True):
    """A command's effects are durable. `position` is the last one of its commit, 0 if there was nothing to write."""

    execution_id: UUID
    status: str
    version: int
    position: int


class StartItem(msgspec.Struct):
    """An execution to be started. Its id is its natural key: a second start of the same id changes nothing."""

    execution_id: UUID
    tenant_id: UUID
    workflow_id: UUID
    revision: int
    input: Any
    context: dict[str, Any]
    trigger: str
    actor: str
    traceparent: str | None
    done: asyncio.Future[Accepted]
    priority: int = DEFAULT_PRIORITY
    attributes: dict[str, Any] = {}
    tags: list[str] = []
    known_new: bool = True
    """Taken as new without a look at the log; if that was wrong, the append is refused and it is looked up."""


class CancelItem(msgspec.Struct):
    """An execution to be cancelled."""

    execution_id: UUID
    tenant_id: UUID
    reason: str
    actor: str
    done: asyncio.Future[Accepted]


class ResultItem(msgspec.Struct):
    """A worker's answer."""

    execution_id: UUID
    result: TaskResult


class WakeItem(msgspec.Struct):
    """Something is due, or tasks were not heard of (`lost` paths are sent again)."""

    execution_id: UUID
    lost: list[str]


Item = StartItem | CancelItem | ResultItem | WakeItem
