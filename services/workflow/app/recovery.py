"""What the new owner of partitions does first: take up every execution of them that has not ended."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from services.workflow.app.ports import OUTAGES, TransitionStore
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking, task_out
from services.workflow.domain.state import ExecutionState
from services.workflow.limits import RECOVERY_PAGE

_log = logging.getLogger(__name__)
_NOT_HEARD_OF = 0
FIRST = UUID(int=0)

Load = Callable[[Sequence[UUID]], Awaitable[dict[UUID, ExecutionState | None]]]


async def adopt_open_executions(
    store: TransitionStore, states: States, tracking: Tracking, partitions: Sequence[int]
) -> None:
    """Fold each open execution of these partitions that is not followed yet and take note of its tasks and timers.

    A task that was out is taken as not heard of since long, so the first sweep sends it again: whether it was ever
    published cannot be known, and workers drop what they have.
    """
    after: UUID | None = FIRST
    while after is not None and partitions:
        after = await adopt_page(store, states, tracking, partitions, after, _NOT_HEARD_OF)


async def adopt_page(
    store: TransitionStore, states: States, tracking: Tracking, partitions: Sequence[int], after: UUID, heard_at: int
) -> UUID | None:
    """Take up a page of open executions behind `after`, their tasks as last heard of at `heard_at` (Unix milliseconds).

    Return the last id of the page, None if there are no more.
    """
    ids = await store.open_executions(partitions, after, RECOVERY_PAGE)
    unknown = [execution_id for execution_id in ids if execution_id not in tracking.open]
    adopted = 0
    for state in (await load_each(states.load, unknown)).values() if unknown else ():
        if state is None or state.ended:
            continue
        tracking.adopt(state, {path: task_out(state, path, heard_at) for path in state.open_tasks})
        states.keep(state)
        adopted += 1
    if adopted:
        _log.info("took up %d open executions", adopted)
    return ids[-1] if len(ids) == RECOVERY_PAGE else None


async def behind(store: TransitionStore, tracking: Tracking, ids: Sequence[UUID]) -> list[UUID]:
    """Return those of these executions of which more is recorded than is known here."""
    written = await store.versions(ids)
    return [i for i in ids if (known := tracking.open.get(i)) is not None and written.get(i, 0) > known.version]


async def take_up_anew(states: States, tracking: Tracking, ids: Sequence[UUID]) -> None:
    """Take over what another process recorded of followed executions: tasks that it began are sent again."""
    for execution_id in ids:
        states.forget(execution_id)
    for state in (await load_each(states.load, ids)).values():
        if state is not None:
            tracking.hold_against(state, _NOT_HEARD_OF)
            states.keep(state)
    if ids:
        _log.info("caught up with %d open executions", len(ids))


async def load_each(load: Load, ids: Sequence[UUID]) -> dict[UUID, ExecutionState | None]:
    """Load executions; one that cannot be folded is missing in what is returned, and the others go on."""
    try:
        return await load(ids)
    except OUTAGES:
        raise
    except Exception:  # noqa: BLE001 - a bug, or data that is newer than this code
        _log.exception("some of %d executions cannot be folded: each is tried by itself", len(ids))
    found: dict[UUID, ExecutionState | None] = {}
    for execution_id in ids:
        try:
            found |= await load([execution_id])
        except OUTAGES:
            raise
        except Exception:  # noqa: BLE001 - as above
            _log.exception("the execution %s cannot be folded and stands still", execution_id)
    return found
