"""What an execution did, as something that another one can take over: how each of its steps ended."""

import asyncio
from collections.abc import Sequence

from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.program import Program
from services.workflow.domain.language.steps import COMPENSATE
from services.workflow.domain.shadow import endings
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.walk import Recorded
from services.workflow.domain.where import name_of
from services.workflow.errors import ForkPointUndoes, ForkPointUnknown
from services.workflow.limits import FOLDED_AT_ONCE
from shared.eventstore.event import RecordedEvent


async def recorded_before(
    events: Sequence[RecordedEvent], path: str, theirs: Program, program: Program
) -> dict[str, Recorded]:
    """Return how each step of `program` ended that was over when the step at `path` began in the program of the events.

    Steps that hold others are not among them: what they do is decided anew, from what these gave. Nor are steps that
    are of another type now: a decision that somebody made is no output of a tool. The event loop, which is the engine's
    as well, has its turns meanwhile.
    Raises `ForkPointUnknown` if there was no such step, and `ForkPointUndoes` for one that undoes others.
    """
    if _undoes(theirs, path):
        raise ForkPointUndoes(path)
    state = ExecutionState(events[0].stream_id, events[0].tenant_id)
    for place, recorded in enumerate(events, 1):
        event = EXECUTION_EVENTS.decode(recorded.type, recorded.data)
        if getattr(event, "path", None) == path:
            same = {name for name, node in program.nodes.items() if _type_of(theirs, name) == node.type}
            return {at: how for at, how in endings(state, program).items() if name_of(at) in same}
        evolve(state, event)
        if place % FOLDED_AT_ONCE == 0:
            await asyncio.sleep(0)
    raise ForkPointUnknown(path, list(state.steps))


def _type_of(program: Program, name: str) -> str | None:
    node = program.nodes.get(name)
    return None if node is None else node.type


def _undoes(program: Program, path: str) -> bool:
    node = program.nodes.get(name_of(path))
    while node is not None and node.branch != COMPENSATE:
        node = node.parent
    return node is not None
