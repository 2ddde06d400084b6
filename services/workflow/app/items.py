"""What waits for the engine's next turn."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain import commands as c
from services.workflow.domain.events import Origin, Parent
from services.workflow.domain.walk import Recorded
from services.workflow.limits import DEFAULT_PRIORITY
from shared.bus.tasks import TaskResult

Control = c.Admit | c.Cancel | c.Terminate | c.Pause | c.Resume | c.Retry | c.Signal | c.Decide


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
    parent: Parent | None = None
    forked_from: Origin | None = None
    queued: bool = False
    recorded: dict[str, Recorded] = {}
    known_new: bool = True
    """Taken as new without a look at the log; if that was wrong, the append is refused and it is looked up."""


class ControlItem(msgspec.Struct):
    """Somebody tells an execution something: `command`, with the time in it still to be set."""

    execution_id: UUID
    tenant_id: UUID
    command: Control
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


Item = StartItem | ControlItem | ResultItem | WakeItem

ANSWERED = (StartItem, ControlItem)
"""Those for whose answer somebody waits. A tuple: a union would be made anew for each `isinstance`."""
