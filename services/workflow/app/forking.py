"""What an execution did, as something that another one can take over: how each of its steps ended."""

import asyncio
from collections.abc import Sequence

from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.program import Program
from services.workflow.domain.shadow import endings
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.walk import Recorded
from services.workflow.errors import ForkPointUnknown
from services.workflow.limits import FOLDED_AT_ONCE
from shared.eventstore.event import RecordedEvent


async def recorded_before(events: Sequence[RecordedEvent], path: str, program: Program) -> dict[str, Recorded]:
    """Return how each step ended that was over when the step at `path` began.

    Steps that hold others are not among them: what they do is decided anew, from what these gave. The event loop, which
    is the engine's as well, has its turns meanwhile.
    Raises `ForkPointUnknown` if there was no such step.
    """
    state = ExecutionState(events[0].stream_id, events[0].tenant_id)
    for place, recorded in enumerate(events, 1):
        event = EXECUTION_EVENTS.decode(recorded.type, recorded.data)
        if getattr(event, "path", None) == path:
            return endings(state, program)
        evolve(state, event)
        if place % FOLDED_AT_ONCE == 0:
            await asyncio.sleep(0)
    raise ForkPointUnknown(path, list(state.steps))
