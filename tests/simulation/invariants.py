"""What has to be true of everything that was recorded, whatever happened."""

from collections.abc import Container
from uuid import UUID

import msgspec

from services.workflow.app.family import child_id
from services.workflow.app.states import fold, read_snapshot, state_of
from services.workflow.domain import events as e
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.program import Program
from services.workflow.domain.language.steps import HOLDERS, ON_ERROR, STEPS, ForeachStep, ParallelStep, WorkflowStep
from services.workflow.domain.state import COMPLETED, ExecutionState, signal_key
from services.workflow.domain.where import child, holder_of, in_iteration, is_inside, name_of
from shared.bus.tasks import task_id_of
from shared.eventstore.catalogue import DomainEvent
from tests.simulation.clients import Clients, kept
from tests.simulation.world import World

ENDS = (e.ExecutionCompleted, e.ExecutionFailed, e.ExecutionCancelled)
_encode = msgspec.msgpack.Encoder().encode


def same_as_log(world: World, state: ExecutionState) -> None:
    """A state that an engine takes for recorded is what its events fold to."""
    recorded = world.written.log.stream(state.id)[: state.version]
    if len(recorded) < state.version:
        world.violated(
            f"an engine is at version {state.version} of {world.short(state.id)}, the log at {len(recorded)}"
        )
        return
    if _encode(state) != _encode(state_of(recorded)):
        there = msgspec.to_builtins(state_of(recorded))
        differs = {k: (v, there[k]) for k, v in msgspec.to_builtins(state).items() if v != there[k]}
        world.violated(f"a state of {world.short(state.id)} is not what its events fold to: {differs}")


def same_as_row(world: World, state: ExecutionState) -> None:
    """The status row shows the last of the events, not what some engine believed before."""
    row = world.written.rows.get(state.id)
    if row is not None and world.version(state.id) == state.version and row.status != state.status:
        world.violated(
            f"the row of {world.short(state.id)} says {row.status} when its events {state.version} say {state.status}"
        )


def check(world: World, clients: Clients) -> None:
    """Check every history, what was promised, and that all is at rest."""
    for execution_id in list(world.written.rows):
        _History(world, execution_id).check()
    for command, answer in clients.promises:
        if not kept(command, world.events(answer.execution_id)[: answer.version]):
            world.violated(f"{command} was answered with version {answer.version}, and the log does not show it")


class _History:
    """One execution from its first event on."""

    def __init__(self, world: World, execution_id: UUID) -> None:
        self._world = world
        self._id = execution_id
        recorded = world.written.log.stream(execution_id)
        self._recorded = recorded
        self._events = world.events(execution_id)
        self._state = ExecutionState(execution_id, recorded[0].tenant_id)
        self._closed: dict[str, DomainEvent] = {}
        self._attempts: set[tuple[str, int]] = set()
        self._scheduled: set[tuple[str, int]] = set()
        self._signals: set[tuple[str, str]] = set()
        self._taken: set[tuple[str, str]] = set()
        self._completed: dict[str, int] = {}
        self._undone: list[str] = []
        self._to_undo: list[str] = []

    def check(self) -> None:
        versions = [event.version for event in self._recorded]
        if versions != list(range(1, len(versions) + 1)):
            self._violated(f"versions {versions}")
            return
        for event in self._events:
            self._before(event)
            evolve(self._state, event)
            self._after(event)
        self._at_rest()

    def _violated(self, what: str) -> None:
        self._world.violated(f"{self._world.short(self._id)}: {what}")

    def _program(self) -> Program:
        assert self._state.workflow_id is not None
        return self._world.programs[self._state.workflow_id.int]

    def _before(self, event: DomainEvent) -> None:  # noqa: C901, PLR0912 - one case an event
        state = self._state
        if state.ended and not isinstance(event, e.ExecutionRetried):
            self._violated(f"{event.TYPE} after its end")
        if state.version and isinstance(event, e.ExecutionStarted):
            self._violated("it started twice")
        match event:
            case e.StepScheduled(path=path, attempt=attempt):
                self._not_early(path, event.at)
                if (path, attempt) in self._scheduled:
                    self._violated(f"attempt {attempt} of {path} was scheduled twice")
                if state.paused_at is not None:
                    self._violated(f"{path} was scheduled during a pause")
                self._scheduled.add((path, attempt))
            case e.StepCompleted(path=path, attempt=attempt):
                self._all_done(path)
                self._not_early(path, event.at)
                self._answered(path, attempt, event)
            case e.StepFailed(path=path, attempt=attempt):
                self._failed(path, attempt, event)
            case e.SignalReceived(name=name, id=id_):
                if (name, id_) in self._signals:
                    self._violated(f"the signal {name} {id_} was recorded twice")
                self._signals.add((name, id_))
            case e.StepWaited(path=path, signal_id=signal_id):
                wait = state.open_waits.get(path)
                if wait is None:
                    self._violated(f"{path} ended a wait that there was not")
                elif signal_id is not None:
                    taken = wait.name, signal_id
                    if signal_key(*taken) not in state.signals or taken in self._taken:
                        self._violated(f"the signal {' '.join(taken)} was taken twice, or never came")
                    self._taken.add(taken)
            case e.StepResultHeld(path=path):
                if path not in state.open_tasks:
                    self._violated(f"a result of {path} was held, and nobody was asked for it")

    def _answered(self, path: str, attempt: int, event: e.StepCompleted) -> None:
        """What a worker's step completed with is what a worker answered to that very attempt."""
        self._once(path, attempt, event)
        if path not in self._state.open_tasks:
            return
        if (path, attempt) not in self._scheduled:
            self._violated(f"{path} completed by attempt {attempt}, which nobody was asked for")
        node = self._program().nodes[name_of(path)]
        if isinstance(node.step, WorkflowStep):
            given = self._world.written.log.stream(child_id(self._id, task_id_of(self._id, path, attempt)))
            state = state_of(given) if given else None
            if state is None or state.status != COMPLETED or state.output != event.output:
                self._violated(f"{path} has another output than its child")
        elif event.output not in self._said(path, attempt):
            self._violated(f"{path} has an output that no worker gave: {event.output}")

    def _all_done(self, path: str) -> None:
        """A step that holds others completes when all that it wants of them has ended well."""
        node, step = self._program().nodes[name_of(path)], self._state.steps.get(path)
        if path not in self._state.open_holders or step is None or step.let_pass:
            return
        if isinstance(node.step, ParallelStep):
            inner = [self._closed.get(child(path, one)) for one in node.children[STEPS]]
            good = sum(_ended_well(event) for event in inner)
            passed = sum(_let_pass(event) for event in inner)
            wanted = len(inner) - passed if node.step.wait_for == "all" else node.step.quorum()
            if good < wanted and good + passed < len(inner):
                self._violated(f"{path} completed when {good} of {wanted} had")
        elif isinstance(node.step, ForeachStep):
            for index in range(len(step.input)):
                inner = [self._closed.get(in_iteration(path, index, one)) for one in node.children[STEPS]]
                if not all(_ended_well(event) or _let_pass(event) for event in inner):
                    self._violated(f"{path} completed when its iteration {index} had not")

    def _not_early(self, path: str, at: int) -> None:
        """What waits for a time waits for it: a retry, a delay."""
        due = self._state.steps[path].due if path in self._state.open_timers else None
        if due is not None and at < due:
            self._violated(f"{path} was due at {due}, and went on at {at}")

    def _failed(self, path: str, attempt: int, event: e.StepFailed) -> None:
        """A worker's step failed because a worker said so of that very attempt, or because its time was over."""
        self._once(path, attempt, event)
        state = self._state
        if path not in state.open_tasks:
            return
        node = self._program().nodes[name_of(path)]
        tried = attempt - state.bases.get(path, 0)
        if event.retry_at is not None and tried >= node.retry.max_attempts:
            self._violated(f"{path} is tried again after attempt {tried} of {node.retry.max_attempts}")
        deadline = state.steps[path].deadline
        if event.error.code == "step_timeout":
            if deadline is None or event.at < deadline:
                self._violated(f"{path} timed out at {event.at}, before {deadline}")
        elif not isinstance(node.step, WorkflowStep) and event.error.message not in self._said(path, attempt):
            self._violated(f"{path} failed with what no worker said of attempt {attempt}: {event.error}")

    def _said(self, path: str, attempt: int) -> list[object]:
        return self._world.answers[task_id_of(self._id, path, attempt)]

    def _once(self, path: str, attempt: int, event: DomainEvent) -> None:
        if path in self._state.open_tasks:
            if (path, attempt) in self._attempts:
                self._violated(f"attempt {attempt} of {path} ended twice")
            self._attempts.add((path, attempt))

    def _after(self, event: DomainEvent) -> None:  # noqa: C901 - one case an event
        match event:
            case e.StepCompleted(path=path) | e.StepSkipped(path=path) | e.StepCancelled(path=path):
                self._close(path, event)
            case e.StepFailed(path=path, retry_at=None, handled=False):
                self._close(path, event)
            case e.ExecutionRetried(again=again, reopened=reopened):
                for path in [
                    p for p in self._closed if p in reopened or _within(p, again) or self._handles(p, reopened)
                ]:
                    del self._closed[path]
                    self._completed.pop(path, None)
            case e.CompensationStarted():
                self._to_undo = self._what_to_undo()
                self._undone = []
                if event.steps != self._to_undo:
                    self._violated(f"{event.steps} is undone where {self._to_undo} is to be")
            case e.StepCompensated(path=path):
                self._undone.append(path)
                if self._undone != self._to_undo[: len(self._undone)]:
                    self._violated(f"{self._undone} was undone, and the order is {self._to_undo}")
        for path in self._state.open_holders:
            step, node = self._state.steps[path], self._program().nodes[name_of(path)]
            if isinstance(node.step, ForeachStep) and step.begun - step.good - step.passed > node.step.max_concurrency:
                self._violated(f"{path} has more iterations at once than {node.step.max_concurrency}")
        if isinstance(event, ENDS):
            open_ = self._state.open_paths()
            if open_:
                self._violated(f"it ended with {open_} open")

    def _handles(self, path: str, reopened: Container[str]) -> bool:
        """Whether a step is one of the `on_error` of a step that was opened again, or inside of one."""
        while path and not (holder_of(path) in reopened and self._program().nodes[name_of(path)].branch == ON_ERROR):
            path = holder_of(path)
        return bool(path)

    def _close(self, path: str, event: DomainEvent) -> None:
        if path in self._closed:
            self._violated(f"{path} ended twice: {self._closed[path]} and {event}")
        self._closed[path] = event
        self._completed.pop(path, None)
        if isinstance(event, e.StepCompleted) and not self._state.steps[path].let_pass:
            self._completed[path] = self._state.version

    def _is_copied(self, path: str) -> bool:
        """Whether a fork took over a step, or all that completed in it: the origin is who undoes that."""
        steps = [inner for inner in self._completed if is_inside(inner, path)] if self._holds(path) else [path]
        done = [self._closed[step] for step in steps if not self._holds(step)]
        return bool(done) and all(isinstance(event, e.StepCompleted) and event.copied for event in done)

    def _holds(self, path: str) -> bool:
        return isinstance(self._program().nodes[name_of(path)].step, HOLDERS)

    def _what_to_undo(self) -> list[str]:
        nodes = self._program().nodes
        done = sorted(self._completed, key=lambda path: -self._completed[path])
        return [path for path in done if nodes[name_of(path)].compensation and not self._is_copied(path)]

    def _at_rest(self) -> None:
        world, state = self._world, self._state
        row = world.written.rows[self._id]
        if (row.status, row.completed_at is not None) != (state.status, state.ended):
            self._violated(f"its row says {row.status}, its events {state.status}")
        if state.ended and row.version != state.version:
            self._violated(f"its row is of version {row.version}, its end of {state.version}")
        snapshot = world.written.log.snapshot(self._id)
        if snapshot is not None:
            held = read_snapshot(snapshot)
            whole = None if held is None else fold(held, self._recorded[snapshot.version :])
            if _encode(whole) != _encode(state_of(self._recorded)):
                self._violated("its snapshot and the events since are not what all its events are")


def _ended_well(event: DomainEvent | None) -> bool:
    return isinstance(event, e.StepCompleted)


def _let_pass(event: DomainEvent | None) -> bool:
    return isinstance(event, e.StepSkipped) or (isinstance(event, e.StepFailed) and event.continued)


def _within(path: str, again: list[str]) -> bool:
    while path and path not in again:
        path = holder_of(path)
    return bool(path)
