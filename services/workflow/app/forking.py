"""What an execution did, as something that another one can take over: how each of its steps ended."""

from collections.abc import Sequence

from services.workflow.app.states import fold
from services.workflow.domain.language.program import Program
from services.workflow.domain.shadow import endings
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.walk import Recorded
from services.workflow.errors import ForkPointUnknown
from shared.eventstore.event import RecordedEvent


def recorded_before(events: Sequence[RecordedEvent], path: str, program: Program) -> dict[str, Recorded]:
    """Return how each step ended that was over when the step at `path` began.

    Steps that hold others are not among them: what they do is decided anew, from what these gave.
    Raises `ForkPointUnknown` if there was no such step.
    """
    state = ExecutionState(events[0].stream_id, events[0].tenant_id)
    for event in events:
        over = endings(state, program) if begins(event, path) else None
        fold(state, [event])
        if over is not None and path in state.steps:
            return over
    raise ForkPointUnknown(path, list(state.steps))


def begins(event: RecordedEvent, path: str) -> bool:
    """Whether an event may be the first of a step; cheap, and right often enough to spare most of the work."""
    return path.encode() in event.data
