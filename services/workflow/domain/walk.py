"""One walk through a program: from what just happened to where nothing more can be done without the outside."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from services.workflow.domain import events as e
from services.workflow.domain import holders, undo, waits
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.program import Node, Program
from services.workflow.domain.language.steps import (
    ON_ERROR,
    AgentStep,
    ApprovalStep,
    ConditionalStep,
    DelayStep,
    EmitStep,
    ForeachStep,
    LoopStep,
    ParallelStep,
    TransformStep,
    WaitForEventStep,
)
from services.workflow.domain.language.templates import Template
from services.workflow.domain.outputs import last_output, output_of_agent
from services.workflow.domain.scope import scope_at
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.step_error import StepError, as_step_error
from services.workflow.domain.where import beside, child, holder_path, is_inside, name_of
from services.workflow.limits import (
    MAX_DECISION_EVENTS,
    MAX_HISTORY_BYTES,
    MAX_HISTORY_EVENTS,
    MAX_STEP_RESULT_BYTES,
    MAX_TASK_PAYLOAD_BYTES,
)
from shared.errors import PlatformError
from shared.eventstore.catalogue import DomainEvent
from shared.nesting import NESTING_MAX, is_deep, may_be_deep

_encode = msgspec.json.Encoder().encode
_TOO_LARGE = StepError("result_too_large", f"The output is above {MAX_STEP_RESULT_BYTES:,} bytes.")

Begin = Callable[["Walk", Node, str], None]


class PayloadTooLarge(PlatformError):
    """What a step begins with is above what may be recorded."""

    code = "payload_too_large"


class NestingTooDeep(PlatformError):
    """A value has more levels than what is recorded may have."""

    code = "nesting_too_deep"


class Recorded(msgspec.Struct, frozen=True):
    """How a step ended in another execution, from which this one takes it over."""

    output: Any = None
    error: StepError | None = None
    closed: int = 0
    """When it ended: the version of the other execution."""


class Walk:
    """Collects the events of one decision and folds each into the state as it goes.

    Steps that follow are put on a list rather than called, so that a long definition needs no deep stack. `recorded`
    steps are not done: they end as they did elsewhere.
    """

    def __init__(
        self, state: ExecutionState, program: Program, now: int, recorded: Mapping[str, Recorded] | None = None
    ) -> None:
        self.state = state
        self.program = program
        self.now = now
        self.events: list[DomainEvent] = []
        self._recorded = recorded or {}
        self._next: deque[tuple[Begin, Node, str]] = deque()
        self._made = 0  # bytes of what this walk rendered: one decision can make far more than it was told

    @property
    def may_go_on(self) -> bool:
        """Whether this decision may begin further iterations: the next one goes on with the rest.

        The next one does not know of recorded steps: these are taken over in one.
        """
        return bool(self._recorded) or len(self.events) < MAX_DECISION_EVENTS

    def node(self, path: str) -> Node:
        """Return the node that a step path ends in."""
        return self.program.nodes[name_of(path)]

    def emit(self, event: DomainEvent) -> None:
        """Record an event."""
        self.events.append(event)
        evolve(self.state, event)

    def begin(self, node: Node, path: str) -> None:
        """Begin a step when its turn comes."""
        self._next.append((Walk.begin_now, node, path))

    def later(self, work: Begin, node: Node, path: str) -> None:
        """Do something about a step when its turn comes."""
        self._next.append((work, node, path))

    def begin_now(self, node: Node, path: str) -> None:
        """Begin a step: every way through here records at least one event of it."""
        try:
            if node.when is not None and not node.when.evaluate(self.scope(node, path)):
                self.skip(node, path)
                return
            recorded = self._recorded.get(path)
            if recorded is None:
                _BEGIN.get(type(node.step), _schedule)(self, node, path)
            else:
                self.take_over(node, path, recorded)
        except PlatformError as error:
            self.fail(node, path, as_step_error(error))

    def as_recorded(self, nodes: Iterable[Node], holder: str) -> Iterable[Node]:
        """Return steps that begin at once in the order in which they ended elsewhere: who came first may matter."""
        if not self._recorded:
            return nodes
        known = self._recorded
        return sorted(nodes, key=lambda node: known[at].closed if (at := child(holder, node)) in known else math.inf)

    def take_over(self, node: Node, path: str, recorded: Recorded) -> None:
        """End a step as it ended elsewhere."""
        if recorded.error is None:
            self.record(node, path, recorded.output, copied=True)
        else:
            self.fail(node, path, recorded.error)

    def run(self) -> None:
        """Begin what is on the list, and what that brings, until all of it waits for the outside."""
        state = self.state
        while self._next and not state.ended:
            if self._is_full():
                self._next.clear()
                if state.undoing is None:
                    self.fail_execution(history_too_long(state, self._made))
                else:
                    undo.give_up(self, "its history is too long")
                continue
            work, node, path = self._next.popleft()
            if node.parent is None or self._is_held(node, path):
                work(self, node, path)

    def _is_held(self, node: Node, path: str) -> bool:
        """Whether what holds a step still wants it: it may have ended meanwhile, or failed.

        One that failed is open only for its `on_error`. A compensation is held by a step that has ended well.
        """
        holder = holder_path(node, path)
        if holder in self.state.open_holders:
            return self.state.steps[holder].let_pass == (node.branch == ON_ERROR)
        return undo.is_undoing(self.state, node, path)

    def _is_full(self) -> bool:
        """Whether the history is as long as it may be; to undo what was done it may be twice as long."""
        factor = 1 if self.state.undoing is None else 2
        size = self.state.size + self._made
        return self.state.version >= factor * MAX_HISTORY_EVENTS or size >= factor * MAX_HISTORY_BYTES

    def scope(self, node: Node, path: str) -> dict[str, Any]:
        """Return what the templates of a step see."""
        return scope_at(self.state, node, path)

    def render(self, node: Node, path: str) -> Any:
        """Return the payload of a step. Raises what its templates raise, and `PayloadTooLarge`."""
        if node.payload is None:
            raise TypeError(f"{node!r} has no payload")
        return self.made(node.payload, node, path)

    def made(self, template: Template, node: Node, path: str) -> Any:
        """Return what a template gives where a step stands: few placeholders can make much of little."""
        if template.is_static:
            self._made += template.static_bytes
            return template.render({})
        value = template.render(self.scope(node, path))
        size = weigh(value)
        self._made += size
        if size > MAX_TASK_PAYLOAD_BYTES:
            raise PayloadTooLarge(f"The step's input is above {MAX_TASK_PAYLOAD_BYTES:,} bytes.")
        return value

    def schedule(self, node: Node, path: str, attempt: int) -> None:
        """Ask a worker for a step."""
        try:
            payload = self.render(node, path)
        except PlatformError as error:
            self.fail(node, path, as_step_error(error))
            return
        deadline = self.deadline(node) or self.state.deadline
        self.emit(e.StepScheduled(self.now, path, attempt, payload, deadline))

    def deadline(self, node: Node) -> int | None:
        """Return when a step that begins now is given up, in Unix milliseconds."""
        return None if node.timeout_seconds is None else self.now + int(node.timeout_seconds * 1000)

    def complete(self, node: Node, path: str, raw: Any) -> None:
        """Record what a step gave, as later steps are to see it, and go on."""
        try:
            if isinstance(node.step, AgentStep):
                attempt = self.state.steps[path].attempt
                raw = output_of_agent(raw, f"{self.state.key}/{path}/{attempt}")
            output = raw if node.mapping is None else node.mapping.apply(raw)
            # What a worker says was bounded when it came in; what is made here can be many times what it was made of.
            size = weigh(output) if node.mapping is not None or not node.step.is_task else 0
        except PlatformError as error:
            self.fail(node, path, as_step_error(error))
            return
        if size > MAX_STEP_RESULT_BYTES:
            self.fail(node, path, _TOO_LARGE)
            return
        self._made += size
        self.record(node, path, output)

    def record(self, node: Node, path: str, output: Any, *, copied: bool = False) -> None:
        """Record a step's output as it is, and go on."""
        step = self.state.steps.get(path)
        attempt = step.attempt if step else 1
        self.emit(e.StepCompleted(self.now, path, attempt, output, node.ends_iteration, copied))
        self.follow(node, path)

    def fail_attempt(self, node: Node, path: str, error: StepError) -> None:
        """Record that an attempt failed: try again if the step's policy allows it."""
        attempt = self.state.steps[path].attempt
        tried = attempt - self.state.bases.get(path, 0)
        if not node.retry.allows(tried, error.code, retryable=error.retryable):
            self.fail(node, path, error)
            return
        retry_at = self.now + node.retry.delay_ms(tried, seed=f"{self.state.id}/{path}")
        self.emit(e.StepFailed(self.now, path, attempt, self.placed(path, error), retry_at=retry_at))

    def fail(self, node: Node, path: str, error: StepError) -> None:
        """Record that a step failed for good, and let its `on_error`, or whoever holds it, decide."""
        error = self.placed(path, error)
        step = self.state.steps.get(path)
        attempt = step.attempt if step else 1
        if node.children:
            self.cancel_inside(path, "the step that holds it failed")
        if node.on_error and not (step and step.let_pass):
            self.emit(e.StepFailed(self.now, path, attempt, error, handled=True))
            self.begin(node.on_error[0], child(path, node.on_error[0]))
        elif node.step.on_error == "continue":
            self.emit(e.StepFailed(self.now, path, attempt, error, continued=True, last=node.ends_iteration))
            self.follow(node, path)
        else:
            self.emit(e.StepFailed(self.now, path, attempt, error))
            if node.parent is None:
                self.fail_execution(error)
            else:
                holders.child_failed(self, node, path, error)

    def skip(self, node: Node, path: str) -> None:
        """Record that a step was not wanted, and go on."""
        self.emit(e.StepSkipped(self.now, path, node.ends_iteration))
        self.follow(node, path)

    def follow(self, node: Node, path: str) -> None:
        """Go on after a step that ended well, was skipped or may fail."""
        if node.next is not None:
            self.begin(node.next, beside(path, node.next))
        elif node.parent is None:
            self.end()
        else:
            holders.child_ended(self, node, path)

    def end(self) -> None:
        """End the execution with its output."""
        template = self.program.output
        try:
            output = (
                last_output(self.state, self.program.top, "") if template is None else template.render(self.state.scope)
            )
            size = 0 if template is None else weigh(output)
        except PlatformError as error:
            self.fail_execution(as_step_error(error))
            return
        if size > MAX_STEP_RESULT_BYTES:
            self.fail_execution(_TOO_LARGE)
            return
        self.emit(e.ExecutionCompleted(self.now, output))

    def fail_execution(self, error: StepError) -> None:
        """End the execution by an error, once what asks for it is undone."""
        self.cancel_all("the execution failed")
        undo.start(self, error, None)

    def cancel(self, reason: str) -> None:
        """End the execution because somebody asked for it, once what asks for it is undone."""
        self.cancel_all("the execution was cancelled")
        undo.start(self, None, reason)

    def cancel_inside(self, path: str, reason: str) -> None:
        """Record that nothing inside a step is needed any more."""
        self._cancel((inner for inner in self.state.open_paths() if is_inside(inner, path)), reason)

    def cancel_all(self, reason: str) -> None:
        """Record that no step is needed any more."""
        self._cancel(self.state.open_paths(), reason)

    def _cancel(self, paths: Iterable[str], reason: str) -> None:
        for path in paths:
            if path in self.state.open_waits:
                self.emit(e.StepWaited(self.now, path, e.NO_LONGER))
            self.emit(e.StepCancelled(self.now, path, reason))

    def placed(self, path: str, error: StepError) -> StepError:
        """Return the error with the step that it is of, unless it names one."""
        if error.step is not None:
            return error
        step = self.state.steps.get(path)
        return msgspec.structs.replace(error, step=path, attempt=step.attempt if step else 1)


def history_too_long(state: ExecutionState, made: int = 0) -> StepError:
    """Return why nothing more is recorded of an execution."""
    return StepError(
        "history_too_long",
        f"Its history has {state.version:,} events and {state.size + made:,} bytes; {MAX_HISTORY_EVENTS:,} events and "
        f"{MAX_HISTORY_BYTES:,} bytes are the most there can be. Divide the work among child workflows.",
    )


def weigh(value: Any) -> int:
    """Return the size of a value's JSON in bytes. Raises `NestingTooDeep` for what could not be read again."""
    try:
        encoded = _encode(value)
    except RecursionError:
        encoded = None
    if encoded is None or (may_be_deep(encoded) and is_deep(value)):
        raise NestingTooDeep(f"The value is nested deeper than {NESTING_MAX} levels.")
    return len(encoded)


def _schedule(walk: Walk, node: Node, path: str) -> None:
    known = walk.state.steps.get(path)
    made = walk.state.bases.get(path, 0) if known is None else known.attempt
    walk.schedule(node, path, made + 1)


def _transform(walk: Walk, node: Node, path: str) -> None:
    walk.complete(node, path, node.input.render(walk.scope(node, path)))


_BEGIN: dict[type, Begin] = {
    TransformStep: _transform,
    ConditionalStep: holders.begin_conditional,
    ParallelStep: holders.begin_parallel,
    ForeachStep: holders.begin_foreach,
    LoopStep: holders.begin_loop,
    DelayStep: waits.begin_delay,
    WaitForEventStep: waits.begin_wait,
    ApprovalStep: waits.begin_approval,
    EmitStep: waits.begin_emit,
}
