"""Shadow replay: what a definition would have decided in a recorded execution, with the results recorded there.

Nothing outside is touched: a step that has a recorded result ends with it, one that has none is where the shadow stops.
"""

from typing import Any

import msgspec

from services.workflow.domain import commands as c
from services.workflow.domain.decide import begin
from services.workflow.domain.language.comparison import equal
from services.workflow.domain.language.program import Node, Program
from services.workflow.domain.language.steps import HOLDERS
from services.workflow.domain.state import CANCELLED, COMPLETED, FAILED, SKIPPED, ExecutionState, StepState
from services.workflow.domain.walk import Recorded, Walk
from services.workflow.domain.where import holder_of, name_of
from services.workflow.limits import MAX_SHADOW_DIFFERENCES

# Ends that time or somebody brought about, and no step: a shadow has no way to come to them.
_FROM_OUTSIDE = frozenset({"timeout", "history_too_long", "definition_unreadable"})


class Difference(msgspec.Struct, frozen=True):
    """One decision that differs: `what` is `input`, `branch`, `status`, `output`, `new`, `gone` or `error`.

    `path` is the step's, "" for the execution itself.
    """

    path: str
    what: str
    recorded: Any
    shadow: Any


class Shadow(msgspec.Struct, frozen=True):
    """What came of one shadow. `stopped_at` are steps without a recorded result: what follows them is not known."""

    status: str
    differences: list[Difference]
    stopped_at: list[str]
    more: int = 0
    """So many differences were found beyond those that are listed."""


def why_not(state: ExecutionState, program: Program) -> str | None:
    """Return why `program` has no shadow in an execution, None if it has one."""
    if state.ended_at is None:
        return "it has not ended"
    if state.status == CANCELLED:
        return "somebody cancelled it"
    if state.error is not None and state.error.code in _FROM_OUTSIDE:
        return f"it ended by {state.error.code}"
    for path, step in state.steps.items():
        node = program.nodes.get(name_of(path))
        is_holder = node is not None and isinstance(node.step, HOLDERS)
        if is_holder and step.error is not None and step.error.code == "step_timeout" and step.error.step == path:
            return f"the time of {path} ran out, and a shadow knows no time"
    return None


def shadow(recorded: ExecutionState, program: Program) -> Shadow:
    """Run `program` over what an ended execution recorded, and return how its decisions differ."""
    walk = _ShadowWalk(recorded, program)
    walk.go()
    found = list(_differences(recorded, walk))
    stopped_at = [path for path in walk.state.open_paths() if path not in walk.state.open_holders]
    if not walk.state.ended and not stopped_at:
        found.append(Difference("", "status", recorded.status, walk.state.status))
    return Shadow(
        walk.state.status, found[:MAX_SHADOW_DIFFERENCES], stopped_at, max(0, len(found) - MAX_SHADOW_DIFFERENCES)
    )


def endings(state: ExecutionState, program: Program) -> dict[str, Recorded]:
    """Return how each step ended that a worker, the time or a person ended, and that `program` has as well."""
    found: dict[str, Recorded] = {}
    for path, step in state.steps.items():
        node = program.nodes.get(name_of(path))
        if node is None or isinstance(node.step, HOLDERS):
            continue
        if step.error is not None and (step.let_pass or step.status == FAILED):
            found[path] = Recorded(error=step.error, closed=step.closed)
        elif step.status == COMPLETED:
            found[path] = Recorded(step.output, closed=step.closed)
    return found


class _ShadowWalk(Walk):
    """A walk that notes what it would have asked for."""

    def __init__(self, recorded: ExecutionState, program: Program) -> None:
        state = ExecutionState(recorded.id, recorded.tenant_id)
        known = {path: how for path, how in endings(recorded, program).items() if program.nodes[name_of(path)].payload}
        super().__init__(state, program, recorded.started_at, known)
        self.asked: dict[str, Any] = {}
        self._of = recorded

    def go(self) -> None:
        """Go from the start as far as what is recorded leads."""
        of = self._of
        if of.workflow_id is None:
            raise TypeError("an execution without a start has no shadow")
        begin(self, c.Start(of.started_at, of.workflow_id, of.revision, of.scope["input"], of.context))
        self.run()

    def take_over(self, node: Node, path: str, recorded: Recorded) -> None:
        self.asked[path] = self.render(node, path)
        super().take_over(node, path, recorded)


def _differences(recorded: ExecutionState, walk: _ShadowWalk) -> "list[Difference]":
    state = walk.state
    found = [
        difference
        for path, step in state.steps.items()
        for difference in _of_step(path, recorded.steps.get(path), step, walk)
    ]
    if state.ended:
        gone = [path for path in recorded.steps if path not in state.steps and _is_missed(path, recorded, walk)]
        found += [Difference(path, "gone", recorded.steps[path].status, None) for path in gone]
        if recorded.status != state.status:
            found.append(Difference("", "status", recorded.status, state.status))
        elif not equal(recorded.output, state.output):
            found.append(Difference("", "output", recorded.output, state.output))
        elif recorded.error is not None and state.error is not None and recorded.error.code != state.error.code:
            found.append(Difference("", "error", recorded.error.code, state.error.code))
    return found


def _is_missed(path: str, recorded: ExecutionState, walk: _ShadowWalk) -> bool:
    """Whether it is a decision that a recorded step is not in the shadow.

    It is none of one that was cancelled: where all ends are known, what makes a step needless may be known before it
    begins. The same goes for steps inside one that failed there as here. What is inside a step whose end was taken over
    as a whole, such as the timeout branch of a wait, did not run here.
    """
    if recorded.steps[path].status == CANCELLED:
        return False
    while path := holder_of(path):
        before, now = recorded.steps.get(path), walk.state.steps.get(path)
        if path in walk.asked or (before and now and before.status == now.status == FAILED):
            return False
    return True


def _of_step(path: str, before: StepState | None, step: StepState, walk: _ShadowWalk) -> list[Difference]:
    node = walk.node(path)
    asked = walk.asked.get(path, step.input)
    if before is None:
        return [Difference(path, "new", None, asked if node.step.is_task else step.status)]
    if before.branch != step.branch:
        return [Difference(path, "branch", before.branch, step.branch)]
    if (before.status == SKIPPED) != (step.status == SKIPPED):
        return [Difference(path, "status", before.status, step.status)]
    if node.step.is_task and before.input is not None and not equal(before.input, asked):
        return [Difference(path, "input", before.input, asked)]
    if (
        not node.step.is_task
        and not isinstance(node.step, HOLDERS)
        and not equal(before.output, step.output)
        and step.completed_at
    ):
        return [Difference(path, "output", before.output, step.output)]
    return []
