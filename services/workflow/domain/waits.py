"""Steps that wait without a worker, and what ends their waiting."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from services.workflow.domain import events as e
from services.workflow.domain.language.program import Node
from services.workflow.domain.language.steps import ON_TIMEOUT, ApprovalStep
from services.workflow.domain.language.steps.data import is_event_type, is_subject
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.step_error import StepError
from services.workflow.domain.where import child
from services.workflow.limits import MAX_DELAY_SECONDS
from shared.errors import PlatformError
from shared.texts import is_storable

if TYPE_CHECKING:
    from services.workflow.domain.walk import Walk

EVENT, APPROVAL = "event", "approval"


class BadDelay(PlatformError):
    """A delay's template did not give a time."""

    code = "bad_delay"


class BadSubject(PlatformError):
    """A template did not give a subject that can be published on."""

    code = "bad_subject"


class BadEventType(PlatformError):
    """A template did not give what can be the type of an event."""

    code = "bad_event_type"


class BadAssignees(PlatformError):
    """A template did not give names of those who may decide."""

    code = "bad_assignees"


class BadWaitName(PlatformError):
    """A template did not give a text by which a wait can be known."""

    code = "bad_wait_name"


def begin_delay(walk: "Walk", node: Node, path: str) -> None:
    """Wait for a time."""
    due = _due(walk.render(node, path), walk.now)
    walk.emit(e.StepStarted(walk.now, path, due=due, deadline=walk.deadline(node)))


def begin_wait(walk: "Walk", node: Node, path: str) -> None:
    """Wait for a signal, or take the first of its name that came already."""
    name = _name(walk.render(node, path)["event"], "event")
    walk.emit(e.StepWaiting(walk.now, path, EVENT, name, walk.deadline(node)))
    take_signals(walk, name)


def begin_approval(walk: "Walk", node: Node, path: str) -> None:
    """Wait for somebody's decision."""
    if not isinstance(node.step, ApprovalStep):
        raise TypeError(f"{node!r} is no approval")
    details = walk.render(node, path)
    if not all(isinstance(name, str) and name and is_storable(name) for name in details["assignees"]):
        raise BadAssignees("Those who may decide are named by texts such as user:<id>.")
    if node.step.form_schema is not None:
        details = {**details, "form_schema": node.step.form_schema}
    name = _name(details["title"] or node.name, "title")
    walk.emit(e.StepWaiting(walk.now, path, APPROVAL, name, walk.deadline(node), details))


def _name(name: Any, what: str) -> str:
    text = str(name)
    if not is_storable(text):
        raise BadWaitName(f"The {what} is a text without U+0000 and halves of surrogate pairs.")
    return text


def begin_emit(walk: "Walk", node: Node, path: str) -> None:
    """Publish an event: that it is recorded is what publishes it."""
    target = walk.render(node, path)
    if not is_subject(target["subject"]):
        raise BadSubject(f"{target['subject']!r} is no subject such as orders.paid.")
    event_type = str(target["event_type"])
    if not is_event_type(event_type):
        raise BadEventType(f"{event_type[:100]!r} is no type such as orders.paid.v1.")
    data = walk.made(node.input, node, path)
    depth = trigger_depth(walk.state) + 1
    walk.emit(e.EventEmitted(walk.now, path, target["subject"], event_type, data, depth))
    walk.complete(node, path, {"subject": target["subject"], "event_type": event_type})


def take_signals(walk: "Walk", name: str) -> None:
    """Give the signals of a name to the steps that wait for them, in the order in which both came."""
    state = walk.state
    came = (signal for signal in list(state.signals.values()) if signal.name == name)
    for path, wait in list(state.open_waits.items()):
        if wait.kind != EVENT or wait.name != name or path not in state.open_waits:
            continue
        signal = next(came, None)
        if signal is None:
            return
        walk.emit(e.StepWaited(walk.now, path, e.SIGNALLED, None, None, signal.id))
        walk.complete(walk.node(path), path, signal.data)


def decided(walk: "Walk", path: str, by: str, decision: dict[str, Any]) -> None:
    """Take a person's decision."""
    walk.emit(e.StepWaited(walk.now, path, e.DECIDED, by, decision))
    walk.complete(walk.node(path), path, decision)


def timed_out(walk: "Walk", path: str) -> None:
    """Go the way that is meant for when nobody came."""
    node = walk.node(path)
    walk.emit(e.StepWaited(walk.now, path, e.TIMED_OUT))
    steps = node.children.get(ON_TIMEOUT, ())
    if steps:
        walk.begin(steps[0], child(path, steps[0]))
    else:
        walk.fail(node, path, StepError("step_timeout", "Nobody answered within the step's timeout_seconds."))


def trigger_depth(state: ExecutionState) -> int:
    """Return how many events, each emitted by an execution that another event had started, led to this execution."""
    event = state.context.get("event")
    depth = event.get("depth", 0) if isinstance(event, dict) else 0
    return depth if isinstance(depth, int) else 0


def _due(when: dict[str, Any], now: int) -> int:
    try:
        # A template may give null for the seconds: which of the two it is follows from the key, not the value.
        due = _moment(str(when["until"])) if "until" in when else now + int(float(when["seconds"]) * 1000)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadDelay(f"The delay's time is not one: {error}") from error
    if due > now + MAX_DELAY_SECONDS * 1000:
        raise BadDelay(f"A delay is at most {MAX_DELAY_SECONDS:,} seconds.")
    return max(due, now)


def _moment(text: str) -> int:
    until = dt.datetime.fromisoformat(text)
    if until.tzinfo is None:
        raise ValueError("it has no offset from UTC")
    return int(until.timestamp() * 1000)
