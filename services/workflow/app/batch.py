"""One turn of the engine: items in, per execution one transition and the tasks that follow from it out."""

import datetime as dt
from uuid import UUID

import msgspec

from services.workflow.app.archived import answer_for_archived
from services.workflow.app.family import Orphan, children_let_go, result_for_parent
from services.workflow.app.items import ANSWERED, ControlItem, Item, ResultItem, StartItem, WakeItem
from services.workflow.app.ports import Programs, StatusRow, Transition
from services.workflow.domain import commands as c
from services.workflow.domain.decide import abandon, decide
from services.workflow.domain.events import EXECUTION_EVENTS, StepScheduled
from services.workflow.domain.language.program import Program
from services.workflow.domain.language.steps import WorkflowStep
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.step_error import StepError
from services.workflow.domain.where import name_of
from services.workflow.errors import ExecutionNotFound
from shared.bus.tasks import Task, TaskResult, partition_of, task_id_of
from shared.errors import PlatformError
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import EventMeta, NewEvent, encode_meta

ENGINE = "service:workflow"


class Decided(msgspec.Struct):
    """What one turn does to one execution."""

    state: ExecutionState
    transition: Transition
    items: list[Item]
    events: list[DomainEvent] = []
    tasks: list[tuple[str, Task]] = []
    facts: bool = False
    orphans: list[Orphan] = []
    ended: TaskResult | None = None
    """What the step of another execution that runs this one is told of its end."""


class Batch:
    """Decides item after item; several items of one execution make one transition."""

    def __init__(self, states: dict[UUID, ExecutionState | None], now: int) -> None:
        self._states = states
        self._now = now
        self.decided: dict[UUID, Decided] = {}
        self._partition: int | None = None

    async def take(self, item: Item, programs: Programs) -> None:
        """Decide one item.

        What somebody asked for who no longer waits is not begun: whoever takes commands hears it again.
        """
        if isinstance(item, ANSWERED) and item.done.cancelled():
            return
        state = self._state_for(item)
        if state is None:
            return
        workflow_id, revision = state.workflow_id, state.revision
        if isinstance(item, StartItem) and state.version == 0:
            workflow_id, revision = item.workflow_id, item.revision
            state.traceparent = item.traceparent
        if workflow_id is None:
            return
        before = (state.version, state.status)
        try:
            program = await programs.load(workflow_id, revision)
        except PlatformError as error:
            if error.retry_after is not None or state.version == 0:
                raise
            reason = f"Revision {revision} of the workflow cannot be read any more: {error.message}"
            self._note(item, state, abandon(state, self._now, StepError("definition_unreadable", reason)), before)
            return
        try:
            events = decide(state, program, _command(item, self._now))
        except PlatformError as refused:
            if not isinstance(item, ControlItem):
                raise
            _refuse(item, refused)
            return
        self._note(item, state, events, before)
        self._ask(item, state, program, events)

    def _state_for(self, item: Item) -> ExecutionState | None:
        """Return the state that an item is about, a new one for a start.

        None, and its sender is told, if there is none, or it is archived.
        """
        state = self._states[item.execution_id]
        if state is None and isinstance(item, StartItem):
            state = self._states[item.execution_id] = ExecutionState(item.execution_id, item.tenant_id)
        unknown = state is None or (isinstance(item, ANSWERED) and item.tenant_id != state.tenant_id)
        if unknown and isinstance(item, ANSWERED):
            _refuse(item, ExecutionNotFound(item.execution_id))
        if unknown or state is None:
            return None
        if state.archived:
            answer_for_archived(item, state)
            return None
        return state

    def items(self) -> list[Item]:
        """Return every item that was decided."""
        return [item for unit in self.decided.values() for item in unit.items]

    def _note(self, item: Item, state: ExecutionState, events: list[DomainEvent], before: tuple[int, str]) -> None:
        version, status = before
        unit = self.decided.get(state.id)
        if unit is None:
            unit = self.decided[state.id] = Decided(state, Transition([], None), [])
        unit.items.append(item)
        if not events:
            return
        meta = _meta(item, state)
        unit.events += events
        unit.facts = unit.facts or any(event.PUBLIC for event in events)
        for place, event in enumerate(events, 1):
            data = EXECUTION_EVENTS.encode(event)
            state.size += len(data)
            unit.transition.events.append(NewEvent(state.tenant_id, state.id, version + place, event.TYPE, data, meta))
        # The row shows the status of the version before, whoever wrote that: this process may not have heard of it.
        # One that an earlier item of this batch wants written shows what that item left: the last one decides.
        if version == 0 or state.ended or status != state.status or unit.transition.row is not None:
            unit.transition = msgspec.structs.replace(unit.transition, row=_row(state))

    def _ask(self, item: Item, state: ExecutionState, program: Program, events: list[DomainEvent]) -> None:
        """Make the tasks that follow: what was scheduled just now, or what a worker was not heard of."""
        paths = [event.path for event in events if isinstance(event, StepScheduled)]
        if isinstance(item, WakeItem) and not events:
            paths = [] if state.paused_at is not None else item.lost
        unit = self.decided[state.id]
        unit.tasks += [self._task(state, program, path) for path in paths if path in state.open_tasks]
        unit.orphans += children_let_go(state, program, events)
        if events and state.ended:
            unit.ended = result_for_parent(state)

    def _task(self, state: ExecutionState, program: Program, path: str) -> tuple[str, Task]:
        """Make a task. What leaves in one turn comes back on one partition, so that results travel in lists, too."""
        if self._partition is None:
            self._partition = partition_of(state.id)
        step = state.steps[path]
        node = program.nodes[name_of(path)]
        payload = step.input
        if isinstance(node.step, WorkflowStep):
            depth = 1 if state.parent is None else state.parent.depth + 1
            payload = {**payload, "depth": depth, "priority": node.step.priority or state.priority}
        if node.payload is not None and node.payload.secret_paths:
            payload = {**payload, "secret_paths": node.payload.secret_paths}
        return node.type, Task(
            task_id=task_id_of(state.id, path, step.attempt),
            tenant_id=state.tenant_id,
            execution_id=state.id,
            step_path=path,
            attempt=step.attempt,
            partition=self._partition,
            deadline_ms=step.deadline or 0,
            payload=payload,
            traceparent=state.traceparent,
            priority=node.step.priority or state.priority,
        )


def _refuse(item: StartItem | ControlItem, error: PlatformError) -> None:
    if not item.done.done():
        item.done.set_exception(error)


def _command(item: Item, now: int) -> c.Command:
    match item:
        case StartItem():
            return c.Start(
                now,
                item.workflow_id,
                item.revision,
                item.input,
                item.context,
                item.trigger,
                item.priority,
                item.attributes,
                item.tags,
                item.parent,
                item.forked_from,
                item.queued,
                item.recorded,
            )
        case ControlItem(command=command):
            return msgspec.structs.replace(command, now=now)
        case WakeItem():
            return c.Wake(now)
        case ResultItem(result=result):
            return _result(result, now)


def _result(result: TaskResult, now: int) -> c.Command:
    if result.status == "ok":
        return c.CompleteTask(now, result.step_path, result.attempt, result.output)
    said = result.error
    if said is None:
        error = StepError("worker_failed", "The worker reported a failure and no reason.")
    else:
        error = StepError(said.code, said.message, retryable=said.retryable, details=said.details)
    return c.FailTask(now, result.step_path, result.attempt, error)


def _meta(item: Item, state: ExecutionState) -> bytes:
    actor, cause = ENGINE, None
    if isinstance(item, ANSWERED):
        actor = item.actor
    elif isinstance(item, ResultItem):
        cause = f"{state.key}/{item.result.step_path}/{item.result.attempt}"
    return encode_meta(EventMeta(actor, state.key, cause, state.traceparent))


def _time(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def _row(state: ExecutionState) -> StatusRow:
    if state.workflow_id is None:
        raise ValueError("an execution without a start has no row")
    return StatusRow(
        state.tenant_id,
        state.id,
        state.workflow_id,
        state.revision,
        state.status,
        _time(state.started_at),
        None if state.ended_at is None else _time(state.ended_at),
        state.version,
        state.trigger,
        None if state.error is None else state.error.code,
        state.attributes,
        state.tags,
    )
