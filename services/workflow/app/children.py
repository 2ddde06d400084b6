"""Runs child executions for `workflow` steps: begins them, and says how they stand whenever the parent asks again."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from services.workflow.app.engine import Engine
from services.workflow.app.family import Orphan, child_id, child_result
from services.workflow.app.ports import OUTAGES, HistoryReader
from services.workflow.app.starting import Door, Request
from services.workflow.app.states import state_of
from services.workflow.domain.events import Parent
from services.workflow.domain.state import ENDED
from services.workflow.errors import ConcurrencyLimit, ConcurrencyQueueFull
from services.workflow.limits import CHILD_QUIET_MS, DEFAULT_PRIORITY, MAX_CHILD_DEPTH
from shared.bus.tasks import Task, TaskError, TaskResult
from shared.errors import PlatformError
from shared.scope import TenantScope

_log = logging.getLogger(__name__)
ACTOR = "service:workflow"
_LATER: tuple[type[Exception], ...] = (PlatformError, *OUTAGES)

# They may be refused by another process, and come as their codes.
_FULL = frozenset({ConcurrencyLimit.code, ConcurrencyQueueFull.code})


class ChildPayload(msgspec.Struct, frozen=True):
    """What a `workflow` step asks for: the workflow by id or slug, and how many executions lie above the child."""

    workflow: str
    input: Any
    depth: int = 1
    priority: int = DEFAULT_PRIORITY


class Children:
    """A worker of `workflow` steps. It holds nothing: the child itself, which is recorded, is what is running."""

    def __init__(self, door: Door, reader: HistoryReader) -> None:
        self._door = door
        self._reader = reader

    async def do(self, task: Task) -> TaskResult:
        """Begin the child unless that was done; return how it ended, or that it runs."""
        try:
            return await self._do(task)
        except PlatformError as error:
            if error.retry_after is not None:  # it only came at a bad time: that is no attempt
                return _running(task, int(error.retry_after * 1000))
            details = {**error.details, **({"errors": msgspec.to_builtins(error.faults)} if error.faults else {})}
            failed = TaskError(error.code, error.message, error.code in _FULL, details)
        except msgspec.ValidationError as error:
            failed = TaskError("invalid_input", f"The step's payload is not one: {error}.")
        return TaskResult(task.execution_id, task.step_path, task.attempt, "error", error=failed)

    async def _do(self, task: Task) -> TaskResult:
        wanted = msgspec.convert(task.payload, ChildPayload)
        if wanted.depth > MAX_CHILD_DEPTH:
            message = f"Executions run one inside another at most {MAX_CHILD_DEPTH} deep."
            return _failed(task, TaskError("child_too_deep", message))
        parent = Parent(task.execution_id, task.step_path, task.attempt, wanted.depth)
        request = Request(
            child_id(task.execution_id, task.task_id), task.tenant_id, wanted.workflow, None, wanted.input, {},
            "workflow", ACTOR, task.traceparent, wanted.priority, parent=parent,
        )  # fmt: skip
        accepted = await self._door.start(request)
        if accepted.status in ENDED:
            events = await self._reader.read_stream(TenantScope(task.tenant_id, ACTOR), request.execution_id)
            return child_result(state_of(events), parent)
        return _running(task, CHILD_QUIET_MS)

    async def cancel(self, orphans: Iterable[Orphan]) -> None:
        """Cancel children that nobody needs. What does not work now is found again by `watch_orphans`."""
        for orphan in orphans:
            try:
                await self._door.cancel(orphan.execution_id, orphan.tenant_id, orphan.reason, ACTOR)
            except _LATER as error:
                _log.info("the child %s is not cancelled now: %s", orphan.execution_id, error)
            except Exception:  # noqa: BLE001 - a bug in one child must not keep the others running
                _log.exception("the child %s could not be cancelled", orphan.execution_id)


async def watch_orphans(engine: Engine, children: Children, every_s: float) -> None:
    """Look now and then for children whose parent no longer needs them: what told them so may have been lost."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await children.cancel(await engine.orphans())
        except OUTAGES as error:
            _log.warning("children without a parent are looked for later: %s", error)


def _running(task: Task, quiet_ms: int) -> TaskResult:
    return TaskResult(task.execution_id, task.step_path, task.attempt, "running", quiet_ms=quiet_ms)


def _failed(task: Task, error: TaskError) -> TaskResult:
    return TaskResult(task.execution_id, task.step_path, task.attempt, "error", error=error)
