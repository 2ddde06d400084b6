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
    """Looks through an ended execution for what did not end well."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._state: ExecutionState = walk.state
        self.again: list[str] = []
        self.reopened: dict[str, int | None] = {}

    def look(self) -> None:
        """Look at the steps of the top, and into those that failed."""
        self._list(self._walk.program.top, [node.path for node in self._walk.program.top])

    def _list(self, nodes: Sequence[Node], paths: Sequence[str]) -> bool:
        wanted = [(node, path) for node, path in zip(nodes, paths, strict=True) if self._is_wanted(node, path)]
        for node, path in wanted:
            self._visit(node, path)
        return bool(wanted)

    def _is_wanted(self, node: Node, path: str) -> bool:
        """Whether a step did not end well: one that was let pass did, unless its `on_error` steps came to no end."""
        step = self._state.steps.get(path)
        if step is None or step.status not in {FAILED, CANCELLED}:
            return False
        return step.status == CANCELLED or not step.let_pass or bool(node.on_error)

    def _visit(self, node: Node, path: str) -> None:
        if not self._state.steps[path].let_pass and self._inside(node, path):
            self.reopened[path] = self._walk.deadline(node)
        else:
            self.again.append(path)

    def _inside(self, node: Node, path: str) -> bool:
        """Visit what a holder holds; return whether there was anything to do again."""
        step = self._state.steps[path]
        match node.step:
            case ParallelStep():
                inner = node.children[STEPS]
                return self._list(inner, [child(path, one) for one in inner])
            case ConditionalStep():
                inner = node.children.get(step.branch or "", ())
                return self._list(inner, [child(path, one) for one in inner])
            case ForeachStep() | LoopStep():
                inner = node.children[STEPS]
                found = [
                    self._list(inner, [in_iteration(path, index, one) for one in inner]) for index in range(step.begun)
                ]
                return any(found)
            case _:
                return False


def retry(walk: Walk, deadline: int) -> None:
    """Go on with an execution that failed or was cancelled, from what did not end well."""
    redo = Redo(walk)
    redo.look()
    walk.emit(e.ExecutionRetried(walk.now, deadline, redo.again, redo.reopened))
    for path in redo.again:
        walk.begin(walk.node(path), path)
    for path in redo.reopened:
        if isinstance(walk.node(path).step, ForeachStep):
            walk.later(holders.fill, walk.node(path), path)
    if not redo.again:
        walk.end()
