"""Steps that hold others: how they begin, and what they do when one of what they hold ends."""

from typing import TYPE_CHECKING, Any

from services.workflow.domain import events as e
from services.workflow.domain import undo
from services.workflow.domain.language.program import Node
from services.workflow.domain.language.steps import (
    COMPENSATE,
    ON_ERROR,
    ON_TIMEOUT,
    STEPS,
    ConditionalStep,
    ForeachStep,
    LoopStep,
    ParallelStep,
)
from services.workflow.domain.outputs import last_output, outputs_of_iterations, outputs_of_parallel
from services.workflow.domain.scope import scope_inside
from services.workflow.domain.state import COMPLETED, FAILED, SKIPPED, ExecutionState
from services.workflow.domain.step_error import StepError, as_step_error
from services.workflow.domain.where import child, holder_path, in_iteration, iteration_around, split_iteration
from services.workflow.limits import MAX_FOREACH_ITEMS
from shared.errors import PlatformError

if TYPE_CHECKING:
    from services.workflow.domain.walk import Walk


class BadItems(PlatformError):
    """A foreach's template did not give a list, or one that is too long."""

    code = "bad_items"


def begin_conditional(walk: "Walk", node: Node, path: str) -> None:
    """Choose a branch and begin it."""
    scope = walk.scope(node, path)
    value: Any = None
    if node.condition is not None:
        branch = "if_true" if node.condition.evaluate(scope) else "if_false"
    else:
        value = walk.render(node, path)["switch"]
        branch = f"branches.{_case(value)}"
        if branch not in node.children:
            branch = "default"
    walk.emit(e.StepStarted(walk.now, path, branch=branch, deadline=walk.deadline(node), input=value))
    steps = node.children.get(branch, ())
    if steps:
        walk.begin(steps[0], child(path, steps[0]))
    else:
        _end_branch(walk, node, path)


def begin_parallel(walk: "Walk", node: Node, path: str) -> None:
    """Begin all steps."""
    walk.emit(e.StepStarted(walk.now, path, deadline=walk.deadline(node)))
    for inner in walk.as_recorded(node.children[STEPS], path):
        walk.begin(inner, child(path, inner))


def begin_foreach(walk: "Walk", node: Node, path: str) -> None:
    """Take the items, and begin as many iterations as may run at once."""
    items = walk.render(node, path)["items"]
    if not isinstance(items, list):
        raise BadItems(f"The items of a foreach are a list; the template gave {type(items).__name__}.")
    if len(items) > MAX_FOREACH_ITEMS:
        raise BadItems(f"There are {len(items):,} items; a foreach takes {MAX_FOREACH_ITEMS:,}.")
    walk.emit(e.StepStarted(walk.now, path, deadline=walk.deadline(node), input=items))
    walk.later(fill, node, path)


def begin_loop(walk: "Walk", node: Node, path: str) -> None:
    """Begin the first iteration."""
    walk.emit(e.StepStarted(walk.now, path, deadline=walk.deadline(node)))
    first = node.children[STEPS][0]
    walk.begin(first, in_iteration(path, 0, first))


def fill(walk: "Walk", node: Node, path: str) -> None:
    """Begin further iterations of a foreach as far as its concurrency allows, or end it when there are none."""
    if path not in walk.state.open_holders or not isinstance(node.step, ForeachStep):
        return
    holder = walk.state.steps[path]
    if holder.let_pass:
        return  # it failed, and is open for its `on_error` alone
    first = node.children[STEPS][0]
    done = holder.good + holder.passed
    if done == len(holder.input):
        walk.complete(node, path, outputs_of_iterations(walk.state, node.children[STEPS], path, done))
    elif walk.may_go_on and holder.begun < len(holder.input) and holder.begun - done < node.step.max_concurrency:
        walk.begin_now(first, in_iteration(path, holder.begun, first))
        walk.later(fill, node, path)


def go_on(walk: "Walk", node: Node, path: str) -> None:
    """Do what follows from how the steps inside ended, if that was left for another decision.

    A decision that made enough leaves iterations to the next one, and one that ended the execution leaves everything
    to its retry.
    """
    if path not in walk.state.open_holders or walk.state.steps[path].let_pass:
        return  # it has ended, or it failed and its `on_error` runs
    if isinstance(node.step, ForeachStep):
        fill(walk, node, path)
    elif isinstance(node.step, ParallelStep):
        _join(walk, node, path)
    elif isinstance(node.step, LoopStep):
        begun = walk.state.steps[path].begun
        last = in_iteration(path, begun - 1, node.children[STEPS][-1])
        if begun and ended_well(walk.state, last):
            _next_iteration(walk, node, last)
    elif isinstance(node.step, ConditionalStep):
        steps = node.children.get(walk.state.steps[path].branch or "", ())
        if not steps or ended_well(walk.state, child(path, steps[-1])):
            _end_branch(walk, node, path)


def ended_well(state: ExecutionState, path: str) -> bool:
    """Whether a step is over and what follows it may begin."""
    step = state.steps.get(path)
    if step is None or state.is_open(path):
        return False
    return step.status in {COMPLETED, SKIPPED} or step.let_pass


def child_ended(walk: "Walk", node: Node, path: str) -> None:
    """Decide what follows the last step of a list: it ended well, was skipped, or may fail."""
    holder = node.parent
    if holder is None:
        raise TypeError(f"{node!r} is held by nothing")
    at = holder_path(node, path)
    if node.branch == ON_ERROR:
        _recovered(walk, holder, at)
    elif node.branch == COMPENSATE:
        undo.undone(walk, at, None)
    elif node.branch == ON_TIMEOUT:
        walk.complete(holder, at, last_output(walk.state, holder.children[ON_TIMEOUT], at))
    elif isinstance(holder.step, ParallelStep):
        _join(walk, holder, at)
    elif isinstance(holder.step, ForeachStep):
        walk.later(fill, holder, at)
    elif isinstance(holder.step, LoopStep):
        _next_iteration(walk, holder, path)
    else:
        _end_branch(walk, holder, at)


def child_failed(walk: "Walk", node: Node, path: str, error: StepError) -> None:
    """Decide what follows a step that failed for good."""
    holder = node.parent
    if holder is None:
        raise TypeError(f"{node!r} is held by nothing")
    at = holder_path(node, path)
    if node.branch == COMPENSATE:
        undo.undone(walk, at, error)
    elif node.branch == STEPS and isinstance(holder.step, ParallelStep):
        _join(walk, holder, at)
    else:
        walk.fail(holder, at, error)


def _recovered(walk: "Walk", node: Node, path: str) -> None:
    """Complete a step whose `on_error` steps ended well: what they gave stands for what it did not give."""
    output = last_output(walk.state, node.on_error, path)
    if output is None:
        output = walk.scope(node, path).get(node.name)
    walk.record(node, path, output)


def _end_branch(walk: "Walk", node: Node, path: str) -> None:
    step = walk.state.steps[path]
    branch = step.branch or "if_false"
    result = last_output(walk.state, node.children.get(branch, ()), path)
    if isinstance(node.step, ConditionalStep) and node.step.switch is not None:
        taken = {"condition_result": step.input, "branch_taken": branch.removeprefix("branches."), "result": result}
    else:
        taken = {"condition_result": branch == "if_true", "branch_taken": branch, "result": result}
    walk.complete(node, path, taken)


def _join(walk: "Walk", node: Node, path: str) -> None:
    """Complete a parallel step once enough is there, or fail it once that is out of reach.

    `all` is content with steps that were skipped or let pass; `any` and `count:N` want so many that completed, and
    take what there is only if nothing failed.
    """
    if path not in walk.state.open_holders or not isinstance(node.step, ParallelStep):
        return
    children = node.children[STEPS]
    counts = walk.state.steps[path]
    wanted = node.step.quorum() - (counts.passed if node.step.wait_for == "all" else 0)
    still_open = len(children) - counts.good - counts.passed - counts.bad
    if counts.good < wanted and counts.bad and counts.good + still_open < wanted:
        walk.fail(node, path, _error_inside(walk, node, path))
    elif counts.good >= wanted or not still_open:
        walk.cancel_inside(path, "enough of its siblings completed")
        walk.complete(node, path, outputs_of_parallel(walk.state, children, path))


def _error_inside(walk: "Walk", node: Node, path: str) -> StepError:
    """Return why the last of the steps that failed did."""
    found = [walk.state.steps.get(child(path, inner)) for inner in node.children[STEPS]]
    errors = [(step.closed, step.error) for step in found if step and step.status == FAILED and step.error]
    return max(errors, key=lambda pair: pair[0])[1]


def _next_iteration(walk: "Walk", node: Node, path: str) -> None:
    """End a loop, or begin its next iteration: `path` is the last step of one."""
    iteration = iteration_around(path)
    at, index = split_iteration(iteration)
    if not isinstance(node.step, LoopStep) or node.condition is None:
        raise TypeError(f"{node!r} is no loop")
    try:
        met = node.condition.evaluate(scope_inside(walk.state, node, iteration))
    except PlatformError as error:
        walk.fail(node, at, as_step_error(error))
        return
    if met or index + 1 >= node.step.max_iterations:
        result = last_output(walk.state, node.children[STEPS], iteration)
        walk.complete(node, at, {"iterations": index + 1, "condition_met": met, "result": result})
    elif walk.may_go_on:
        first = node.children[STEPS][0]
        walk.begin(first, in_iteration(at, index + 1, first))


def _case(value: Any) -> str:
    """Return the branch's name for a switch's value, as JSON has it: `true`, `1`, `red`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
