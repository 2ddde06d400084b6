"""What the engine remembers of open executions: which tasks are out since when, and what falls due by itself."""

import heapq
from collections.abc import Container, Iterable, Iterator
from uuid import UUID

import msgspec

from services.workflow.domain import events as e
from services.workflow.domain.events import Parent
from services.workflow.domain.state import ExecutionState
from services.workflow.limits import MAX_DECISION_EVENTS, MIN_DUES_COMPACTED, TASK_GRACE_MS, TASK_LEASE_MS
from shared.bus.tasks import partition_of
from shared.eventstore.catalogue import DomainEvent

NEVER = 2**62


class TaskOut(msgspec.Struct, gc=False):
    """A task that a worker should be doing. Times are Unix milliseconds."""

    heard_at: int
    deadline: int
    attempt: int


def task_out(state: ExecutionState, path: str, heard_at: int) -> TaskOut:
    """Return what is known of an open task of this state."""
    step = state.steps[path]
    return TaskOut(heard_at, step.deadline or state.deadline, step.attempt)


class Open(msgspec.Struct):
    """An execution that has not ended, as it was at `version`."""

    deadline: int
    tasks: dict[str, TaskOut] = {}
    parent: Parent | None = None
    version: int = 0


def wakes_at(state: ExecutionState) -> int:
    """Return when the execution is over time: never while it is paused or queued."""
    return NEVER if state.paused_at is not None or state.queued else state.deadline


class Tracking:
    """All open executions of this process. Small beside their states, which may be forgotten and folded again."""

    def __init__(self) -> None:
        self.open: dict[UUID, Open] = {}
        self._dues: list[tuple[int, UUID]] = []

    def follow(  # noqa: C901, PLR0912 - one case an event
        self, state: ExecutionState, events: list[DomainEvent], now: int
    ) -> None:
        """Take note of what was recorded; `state` is what it led to."""
        execution_id = state.id
        if len(events) >= MAX_DECISION_EVENTS:
            self._push(execution_id, now)
        known = self.open.get(execution_id)
        if known is not None and known.version + len(events) != state.version:
            self._anew(state, now)  # another process wrote before
            return
        for event in events:
            match event:
                case e.StepCompleted(path=path) if known is not None:
                    known.tasks.pop(path, None)
                case e.StepScheduled(path=path, attempt=attempt, deadline=deadline) if known is not None:
                    known.tasks[path] = TaskOut(now, deadline, attempt)
                case e.ExecutionStarted(deadline=deadline):
                    known = self.open[execution_id] = Open(deadline, parent=state.parent)
                case e.StepFailed(path=path, retry_at=retry_at) if known is not None:
                    known.tasks.pop(path, None)
                    if retry_at is not None:
                        heapq.heappush(self._dues, (retry_at, execution_id))
                case e.StepStarted(due=due, deadline=deadline):
                    self._push(execution_id, due, deadline)
                case e.StepWaiting(deadline=deadline):
                    self._push(execution_id, deadline)
                case e.StepCancelled(path=path) | e.StepResultHeld(path=path) if known is not None:
                    known.tasks.pop(path, None)
                case e.ExecutionResumed() | e.ExecutionRetried() | e.CompensationStarted() | e.ExecutionAdmitted():
                    self._anew(state, now)
                    return
                case e.ExecutionCompleted() | e.ExecutionFailed() | e.ExecutionCancelled():
                    self._anew(state, now)  # it has ended, unless it was retried since
                    self._forget_dues_of_ended()
                    return
                case _:
                    pass
        if known is not None:
            known.version = state.version
            known.deadline = wakes_at(state)

    def _push(self, execution_id: UUID, *times: int | None) -> None:
        for at in times:
            if at is not None:
                heapq.heappush(self._dues, (at, execution_id))

    def _anew(self, state: ExecutionState, now: int) -> None:
        """Look at the whole state: the times of all steps changed, or it was not open before."""
        if state.ended:
            self.open.pop(state.id, None)
            return
        known = self.open.get(state.id)
        tasks = {} if known is None else known.tasks
        out = {path: task_out(state, path, now) for path in state.open_tasks}
        for path, task in out.items():
            before = tasks.get(path)
            if before is not None and before.attempt == task.attempt:
                task.heard_at = before.heard_at
        self.adopt(state, out)

    def _forget_dues_of_ended(self) -> None:
        """Drop what will never be due, once it is most of what there is: a delay may lie a year ahead."""
        if len(self._dues) > MIN_DUES_COMPACTED and len(self._dues) > 4 * len(self.open):
            self._dues = [due for due in self._dues if due[1] in self.open]
            heapq.heapify(self._dues)

    def adopt(self, state: ExecutionState, tasks: dict[str, TaskOut]) -> None:
        """Take up an execution as it stands."""
        self.open[state.id] = Open(wakes_at(state), tasks, state.parent, state.version)
        for path in (*state.open_timers, *state.open_waits, *state.open_holders):
            self._push(state.id, state.steps[path].due, state.steps[path].deadline)
        if state.open_holders:
            self._push(state.id, state.started_at)  # iterations that were left for the next decision

    def hold_against(self, state: ExecutionState, now: int) -> None:
        """Take over what another process recorded: tasks that ended, tasks that began, what is or falls due."""
        known = self.open.get(state.id)
        if known is not None and known.version != state.version:
            self._anew(state, now)

    def forget_partitions(self, partitions: Container[int]) -> None:
        """Forget what another process follows from now on."""
        self.open = {i: known for i, known in self.open.items() if partition_of(i) not in partitions}
        self._dues = [due for due in self._dues if due[1] in self.open]
        heapq.heapify(self._dues)

    def clear(self) -> None:
        """Forget everything, to take it up again from the log."""
        self.open.clear()
        self._dues.clear()

    def heard(self, execution_id: UUID, path: str, attempt: int, now: int) -> None:
        """A worker says that it is at it: of an earlier attempt that says nothing."""
        known = self.open.get(execution_id)
        task = None if known is None else known.tasks.get(path)
        if task is not None and task.attempt == attempt:
            task.heard_at = now

    def sent_again(self, execution_id: UUID, paths: Iterable[str], now: int) -> None:
        """Tasks are on their way once more."""
        tasks = self.open[execution_id].tasks
        for path in paths:
            tasks[path].heard_at = now

    def next_due(self) -> int | None:
        """Return when the next retry or delay falls due."""
        return self._dues[0][0] if self._dues else None

    def pop_due(self, now: int) -> set[UUID]:
        """Return the executions for which something is due by now."""
        due: set[UUID] = set()
        while self._dues and self._dues[0][0] <= now:
            due.add(heapq.heappop(self._dues)[1])
        return {execution_id for execution_id in due if execution_id in self.open}

    def overdue(self, now: int) -> Iterator[tuple[UUID, list[str]]]:
        """Yield executions with a deadline that has passed, or with tasks whose lease ran out: these are named.

        While an execution is paused nothing of it is looked at: it begins nothing, and time stands still.
        """
        for execution_id, known in self.open.items():
            if known.deadline == NEVER:
                continue
            lost = [path for path, task in known.tasks.items() if now - task.heard_at > TASK_LEASE_MS]
            if lost or _late(known, now):
                yield execution_id, lost


def _late(known: Open, now: int) -> bool:
    return known.deadline <= now or any(task.deadline + TASK_GRACE_MS <= now for task in known.tasks.values())
