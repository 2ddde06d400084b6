"""One walk through a program: from what just happened to where nothing more can be done without the outside."""

import datetime as dt
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from services.workflow.domain import events as e
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.program import Node, Program
from services.workflow.domain.language.steps import (
    ConditionalStep,
    DelayStep,
    ParallelStep,
    TransformStep,
)
from services.workflow.domain.outputs import last_output, outputs_of_parallel
from services.workflow.domain.state import FAILED, ExecutionState
from services.workflow.domain.step_error import StepError
from services.workflow.limits import MAX_DELAY_SECONDS, MAX_STEP_RESULT_BYTES, MAX_TASK_PAYLOAD_BYTES
from shared.errors import PlatformError
from shared.eventstore.catalogue import DomainEvent

_encode = msgspec.json.Encoder().encode
_TOO_LARGE = StepError("result_too_large", f"The output is above {MAX_STEP_RESULT_BYTES:,} bytes.")


class Walk:
    """Collects the events of one decision and folds each into the state as it goes.

    Steps that follow are put on a list rather than called, so that a long definition needs no deep stack.
    """

    def __init__(self, state: ExecutionState, program: Program, now: int) -> None:
        self.state = state
        self.program = program
        self.now = now
        self.events: list[DomainEvent] = []
        self._next: deque[Node] = deque()

    def node(self, path: str) -> Node:
        """Return the node that a step path ends in."""
        return self.program.nodes[path[path.rfind("/") + 1 :]]

    def emit(self, event: DomainEvent) -> None:
        """Record an event."""
        self.events.append(event)
        evolve(self.state, event)

    def begin(self, node: Node) -> None:
        """Begin a step when its turn comes."""
        self._next.append(node)

    def run(self) -> None:
        """Begin what is on the list, and what that brings, until all of it waits for the outside."""
        while self._next and not self.state.ended:
            node = self._next.popleft()
            if node.parent is None or node.parent.path in self.state.open_holders:
                self._begin(node)

    def schedule(self, node: Node, attempt: int) -> None:
        """Ask a worker for a step."""
        if node.payload is None:
            raise TypeError(f"{node!r} is no task")
        try:
            payload = node.payload.render(self.state.scope)
        except PlatformError as error:
            self.fail(node, _as_step_error(error))
            return
        if not node.payload.is_static and _size(payload) > MAX_TASK_PAYLOAD_BYTES:
            self.fail(
                node, StepError("payload_too_large", f"The step's input is above {MAX_TASK_PAYLOAD_BYTES:,} bytes.")
            )
            return
        deadline = self.now + int((node.timeout_seconds or 0) * 1000)
        self.emit(e.StepScheduled(self.now, node.path, attempt, payload, deadline))

    def complete(self, node: Node, raw: Any) -> None:
        """Record a step's output and go on."""
        try:
            output = raw if node.mapping is None else node.mapping.apply(raw)
        except PlatformError as error:
            self.fail(node, _as_step_error(error))
            return
        # What a worker says was bounded when it came in; what is made here can be many times what it was made of.
        if (node.mapping is not None or not node.step.is_task) and _size(output) > MAX_STEP_RESULT_BYTES:
            self.fail(node, _TOO_LARGE)
            return
        step = self.state.steps.get(node.path)
        self.emit(e.StepCompleted(self.now, node.path, step.attempt if step else 1, output))
        self._follow(node)

    def fail_attempt(self, node: Node, error: StepError) -> None:
        """Record that an attempt failed: try again if the step's policy allows it."""
        attempt = self.state.steps[node.path].attempt
        if not node.retry.allows(attempt, error.code, retryable=error.retryable):
            self.fail(node, error)
            return
        retry_at = self.now + node.retry.delay_ms(attempt, seed=f"{self.state.id}/{node.path}")
        self.emit(e.StepFailed(self.now, node.path, attempt, self._placed(node, error), retry_at=retry_at))

    def fail(self, node: Node, error: StepError) -> None:
        """Record that a step failed for good, and let whoever holds it decide."""
        error = self._placed(node, error)
        step = self.state.steps.get(node.path)
        attempt = step.attempt if step else 1
        self._cancel_inside(node, "the step that holds it failed")
        if node.step.on_error == "continue":
            self.emit(e.StepFailed(self.now, node.path, attempt, error, continued=True))
            self._follow(node)
            return
        self.emit(e.StepFailed(self.now, node.path, attempt, error))
        if node.parent is None:
            self.fail_execution(error)
        elif isinstance(node.parent.step, ParallelStep):
            self._join(node.parent)
        else:
            self.fail(node.parent, error)

    def fail_execution(self, error: StepError) -> None:
        """End the execution by an error."""
        self._cancel_all("the execution failed")
        self.emit(e.ExecutionFailed(self.now, error))

    def cancel(self, reason: str) -> None:
        """End the execution because somebody asked for it."""
        self._cancel_all("the execution was cancelled")
        self.emit(e.ExecutionCancelled(self.now, reason))

    def _begin(self, node: Node) -> None:
        try:
            if node.when is not None and not node.when.evaluate(self.state.scope):
                self.emit(e.StepSkipped(self.now, node.path))
                self._follow(node)
                return
            match node.step:
                case TransformStep():
                    self.complete(node, node.input.render(self.state.scope))
                case DelayStep():
                    self.emit(e.StepStarted(self.now, node.path, due=self._due(node), deadline=self._deadline(node)))
                case ConditionalStep():
                    self._choose(node)
                case ParallelStep():
                    self.emit(e.StepStarted(self.now, node.path, deadline=self._deadline(node)))
                    self._next.extend(node.children["steps"])
                case _:
                    self.schedule(node, 1)
        except PlatformError as error:
            self.fail(node, _as_step_error(error))

    def _choose(self, node: Node) -> None:
        if node.condition is None:
            raise TypeError(f"{node!r} has no condition")
        branch = "if_true" if node.condition.evaluate(self.state.scope) else "if_false"
        self.emit(e.StepStarted(self.now, node.path, branch=branch, deadline=self._deadline(node)))
        steps = node.children[branch]
        if steps:
            self.begin(steps[0])
        else:
            self._end_branch(node)

    def _follow(self, node: Node) -> None:
        """Go on after a step that ended well, was skipped or may fail."""
        if node.next is not None:
            self.begin(node.next)
        elif node.parent is None:
            self._end()
        elif isinstance(node.parent.step, ParallelStep):
            self._join(node.parent)
        else:
            self._end_branch(node.parent)

    def _end_branch(self, holder: Node) -> None:
        branch = self.state.steps[holder.path].branch or "if_false"
        result = last_output(self.state, holder.children[branch])
        taken = {"condition_result": branch == "if_true", "branch_taken": branch, "result": result}
        self.complete(holder, taken)

    def _join(self, holder: Node) -> None:
        """Complete a parallel step once enough is there, or fail it once that is out of reach.

        `all` is content with steps that were skipped or let pass; `any` and `count:N` want so many that completed, and
        take what there is only if nothing failed.
        """
        if holder.path not in self.state.open_holders or not isinstance(holder.step, ParallelStep):
            return
        children = holder.children["steps"]
        counts = self.state.steps[holder.path]
        wanted = holder.step.quorum() - (counts.passed if holder.step.wait_for == "all" else 0)
        still_open = len(children) - counts.good - counts.passed - counts.bad
        if counts.good < wanted and counts.bad and counts.good + still_open < wanted:
            self.fail(holder, self._error_inside(children))
        elif counts.good >= wanted or not still_open:
            self._cancel_inside(holder, "enough of its siblings completed")
            self.complete(holder, outputs_of_parallel(self.state, children))

    def _error_inside(self, children: Sequence[Node]) -> StepError:
        """Return why the last of the steps that failed did."""
        failed = [self.state.steps[node.path] for node in children if node.path in self.state.steps]
        errors = [(step.completed_at or 0, step.error) for step in failed if step.status == FAILED and step.error]
        return max(errors, key=lambda found: found[0])[1]

    def _end(self) -> None:
        try:
            if self.program.output is None:
                output = last_output(self.state, self.program.top)
            else:
                output = self.program.output.render(self.state.scope)
        except PlatformError as error:
            self.fail_execution(_as_step_error(error))
            return
        if self.program.output is not None and _size(output) > MAX_STEP_RESULT_BYTES:
            self.fail_execution(_TOO_LARGE)
            return
        self.emit(e.ExecutionCompleted(self.now, output))

    def _cancel_inside(self, holder: Node, reason: str) -> None:
        inside = holder.path + "/"
        state = self.state
        for path in (*state.open_tasks, *state.open_timers, *state.open_holders):
            if path.startswith(inside):
                self.emit(e.StepCancelled(self.now, path, reason))

    def _cancel_all(self, reason: str) -> None:
        state = self.state
        for path in (*state.open_tasks, *state.open_timers, *state.open_holders):
            self.emit(e.StepCancelled(self.now, path, reason))

    def _deadline(self, node: Node) -> int | None:
        return None if node.timeout_seconds is None else self.now + int(node.timeout_seconds * 1000)

    def _due(self, node: Node) -> int:
        if node.payload is None:
            raise TypeError(f"{node!r} has no time")
        when = node.payload.render(self.state.scope)
        try:
            # A template may give null for the seconds: which of the two it is follows from the key, not the value.
            due = _moment(str(when["until"])) if "until" in when else self.now + int(float(when["seconds"]) * 1000)
        except (ValueError, TypeError, OverflowError) as error:
            raise BadDelay(f"The delay's time is not one: {error}") from error
        if due > self.now + MAX_DELAY_SECONDS * 1000:
            raise BadDelay(f"A delay is at most {MAX_DELAY_SECONDS:,} seconds.")
        return max(due, self.now)

    def _placed(self, node: Node, error: StepError) -> StepError:
        if error.step is not None:
            return error
        step = self.state.steps.get(node.path)
        return msgspec.structs.replace(error, step=node.path, attempt=step.attempt if step else 1)


def _size(value: Any) -> int:
    return len(_encode(value))


def _moment(text: str) -> int:
    until = dt.datetime.fromisoformat(text)
    if until.tzinfo is None:
        raise ValueError("it has no offset from UTC")
    return int(until.timestamp() * 1000)


class BadDelay(PlatformError):
    """A delay's template did not give a time."""

    code = "bad_delay"


def _as_step_error(error: PlatformError) -> StepError:
    details = dict(error.details)
    if error.faults:
        details["errors"] = [msgspec.to_builtins(fault) for fault in error.faults]
    return StepError(error.code, error.message, details=details)
