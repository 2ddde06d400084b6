"""Retry of an execution that failed: which steps begin anew, and which of those that hold them are opened again."""

from collections.abc import Sequence

from services.workflow.domain import events as e
from services.workflow.domain import holders
from services.workflow.domain.language.program import Node
from services.workflow.domain.language.steps import (
    STEPS,
    ConditionalStep,
    ForeachStep,
    LoopStep,
    ParallelStep,
)
from services.workflow.domain.state import CANCELLED, FAILED, ExecutionState
from services.workflow.domain.walk import Walk
from services.workflow.domain.where import child, in_iteration


class Redo:
    """Looks through an ended execution for where it is to go on.

    What ended well stays as it is. A step that failed, or was cancelled, begins anew; one that holds others is opened
    again, and goes on inside. It begins anew as a whole if nothing began inside, and if it had failed already: when its
    `on_error` or its `on_timeout` was under way.
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._state: ExecutionState = walk.state
        self.again: list[str] = []
        self.reopened: dict[str, int | None] = {}
        self.dropped: list[str] = []

    def look(self) -> None:
        """Look at the steps of the top, and into those that did not end well."""
        self._sequence([(node, node.path) for node in self._walk.program.top])

    def _sequence(self, steps: Sequence[tuple[Node, str]]) -> None:
        """Find the one step of a list that it stopped at, or before."""
        for node, path in steps:
            if not self._is_done(node, path):
                self._visit(node, path)
                return

    def _all(self, steps: Sequence[tuple[Node, str]]) -> None:
        for node, path in steps:
            if not self._is_done(node, path):
                self._visit(node, path)

    def _is_done(self, node: Node, path: str) -> bool:
        """Whether a step ended well: one that was let pass did, unless its `on_error` steps came to no end."""
        step = self._state.steps.get(path)
        if step is None or step.status == CANCELLED:
            return False
        return step.status != FAILED or (step.let_pass and not node.on_error)

    def _visit(self, node: Node, path: str) -> None:
        step = self._state.steps.get(path)
        if step is None or step.let_pass or not self._inside(node, path):
            self.again.append(path)
            return
        self.reopened[path] = self._walk.deadline(node)
        self.dropped += [at for inner in node.on_error if (at := child(path, inner)) in self._state.steps]

    def _inside(self, node: Node, path: str) -> bool:
        """Look into a holder in which something began; return whether it is one."""
        step = self._state.steps[path]
        match node.step:
            case ParallelStep():
                inner = [(one, child(path, one)) for one in node.children[STEPS]]
                if not any(at in self._state.steps for _, at in inner):
                    return False
                self._all(inner)
            case ConditionalStep() if step.branch is not None:
                self._sequence([(one, child(path, one)) for one in node.children.get(step.branch, ())])
            case ForeachStep() | LoopStep() if step.begun:
                for index in range(step.begun):
                    self._sequence([(one, in_iteration(path, index, one)) for one in node.children[STEPS]])
            case _:
                return False
        return True


def retry(walk: Walk, deadline: int) -> None:
    """Go on with an execution that failed or was cancelled, from what did not end well."""
    redo = Redo(walk)
    redo.look()
    walk.emit(e.ExecutionRetried(walk.now, deadline, redo.again, redo.reopened, redo.dropped))
    for path in redo.again:
        walk.begin(walk.node(path), path)
    for path in redo.reopened:
        walk.later(holders.go_on, walk.node(path), path)
    if not redo.again and not redo.reopened:
        walk.end()
