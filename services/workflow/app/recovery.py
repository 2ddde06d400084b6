"""What a new engine process does first: take up every execution that has not ended."""

import logging
from uuid import UUID

from services.workflow.app.ports import OUTAGES, TransitionStore
from services.workflow.app.states import States
from services.workflow.app.tracking import TaskOut, Tracking
from services.workflow.domain.state import ExecutionState
from services.workflow.limits import RECOVERY_PAGE

_log = logging.getLogger(__name__)


async def adopt_open_executions(store: TransitionStore, states: States, tracking: Tracking) -> int:
    """Fold each open execution and take note of its tasks and timers; return how many there are.

    A task that was out is taken as not heard of since long, so the first sweep sends it again: whether it was ever
    published cannot be known, and workers drop what they have.
    """
    after, adopted = UUID(int=0), 0
    while True:
        ids = await store.open_executions(after, RECOVERY_PAGE)
        if not ids:
            break
        for execution_id, state in (await _load(states, ids)).items():
            if state is None or state.ended or execution_id in tracking.open:
                continue
            tasks = {path: TaskOut(0, state.steps[path].deadline or state.deadline) for path in state.open_tasks}
            tracking.adopt(state, tasks)
            states.keep(state)
            adopted += 1
        after = ids[-1]
    if adopted:
        _log.info("took up %d open executions", adopted)
    return adopted


async def _load(states: States, ids: list[UUID]) -> dict[UUID, ExecutionState | None]:
    """Fold a page of executions; one that cannot be folded is left as it is, and the others go on."""
    try:
        return await states.load(ids)
    except OUTAGES:
        raise
    except Exception:  # noqa: BLE001 - a bug, or data that is newer than this code
        _log.exception("some of %d executions cannot be folded: each is tried by itself", len(ids))
    found: dict[UUID, ExecutionState | None] = {}
    for execution_id in ids:
        try:
            found |= await states.load([execution_id])
        except OUTAGES:
            raise
        except Exception:  # noqa: BLE001 - as above
            _log.exception("the execution %s cannot be folded and stands still", execution_id)
    return found
