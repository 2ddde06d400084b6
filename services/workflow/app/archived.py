"""What the engine says of an execution that is archived: nothing happens to it any more."""

from services.workflow.app.items import Accepted, CancelItem, Item, ResultItem, StartItem, WakeItem
from services.workflow.domain.state import ExecutionState
from services.workflow.errors import ExecutionArchived

# Of one that ended.
_CHANGE_NOTHING: tuple[type[Item], ...] = (StartItem, CancelItem)


def answer_for_archived(item: Item, state: ExecutionState) -> None:
    """Answer as for one that ended: a second start and a cancellation change nothing, the rest is refused."""
    if isinstance(item, ResultItem | WakeItem) or item.done.done():
        return
    if isinstance(item, _CHANGE_NOTHING):
        item.done.set_result(Accepted(state.id, state.status, state.version, 0))
    else:
        item.done.set_exception(ExecutionArchived(state.id))
