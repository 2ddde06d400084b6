"""Holds the history of an execution that lived through an outage against one that did not."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from services.workflow.app.states import fold
from services.workflow.domain import events as e
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.state import ExecutionState
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import RecordedEvent

_ENDS = (e.ExecutionCompleted, e.ExecutionFailed, e.ExecutionCancelled)
Mark = tuple[str, str]


def marks(history: Sequence[RecordedEvent]) -> list[Mark]:
    """Return type and step of each event, without what a repeated attempt adds: its failure and the next schedule."""
    return [
        (event.TYPE, getattr(event, "path", ""))
        for event in decoded(history)
        if not (isinstance(event, e.StepFailed) and event.retry_at is not None)
        and not (isinstance(event, e.StepScheduled) and event.attempt > 1)
    ]


def faults(history: Sequence[RecordedEvent], undisturbed: Sequence[Mark]) -> list[str]:
    """Return what is wrong with a history, nothing if nothing is."""
    events = decoded(history)
    found = []
    versions = [event.version for event in history]
    if versions != list(range(1, len(history) + 1)):
        found.append(f"versions are not contiguous: {versions}")
    if [isinstance(event, e.ExecutionStarted) for event in events].count(True) != 1:
        found.append("it was not started exactly once")
    if [isinstance(event, _ENDS) for event in events].count(True) != 1 or not isinstance(events[-1], _ENDS):
        found.append("it did not end exactly once")
    completed = Counter(event.path for event in events if isinstance(event, e.StepCompleted))
    found += [f"{path} was completed {times} times" for path, times in completed.items() if times != 1]
    if marks(history) != list(undisturbed):
        found.append(f"it went another way: {[type(event).__name__ for event in events]}")
    return found + _attempts_out_of_order(events)


def folded(history: Sequence[RecordedEvent]) -> ExecutionState:
    """Return the state that the history gives."""
    return fold(ExecutionState(history[0].stream_id, history[0].tenant_id), history)


def differences(state: ExecutionState, served: dict[str, Any]) -> list[str]:
    """Return in what the API's answer differs from the folded state."""
    expected = {
        "status": state.status,
        "version": state.version,
        "output_data": state.output,
        "error": None,
        "steps": [(s.path, s.status, s.attempt - 1, s.output) for s in state.steps.values()],
    }
    shown = {name: served[name] for name in ("status", "version", "output_data", "error")} | {
        "steps": [(s["step_path"], s["status"], s["retry_count"], s["output_data"]) for s in served["steps"]]
    }
    return [
        f"{name}: {shown[name]!r} is served, {wanted!r} folded"
        for name, wanted in expected.items()
        if shown[name] != wanted
    ]


def decoded(history: Sequence[RecordedEvent]) -> list[DomainEvent]:
    return [EXECUTION_EVENTS.decode(event.type, event.data) for event in history]


def _attempts_out_of_order(events: Sequence[DomainEvent]) -> list[str]:
    """An attempt is scheduled after the failure of the one before, and only the last one scheduled is completed."""
    found = []
    scheduled: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for event in events:
        match event:
            case e.StepScheduled(path=path, attempt=attempt):
                scheduled[path] += 1
                if attempt != scheduled[path] or failed[path] != attempt - 1:
                    found.append(f"attempt {attempt} of {path} was scheduled out of order")
            case e.StepFailed(path=path, attempt=attempt):
                failed[path] += 1
                if attempt != scheduled[path]:
                    found.append(f"attempt {attempt} of {path} failed and was not the open one")
            case e.StepCompleted(path=path, attempt=attempt) if path in scheduled and attempt != scheduled[path]:
                found.append(f"attempt {attempt} of {path} was completed and was not the open one")
            case _:
                pass
    return found
