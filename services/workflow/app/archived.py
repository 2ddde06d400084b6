"""What the engine says of an execution that is archived: nothing happens to it any more."""

from services.workflow.app.items import Accepted, Item, ResultItem, StartItem, WakeItem
from services.workflow.domain.state import ExecutionState
from services.workflow.errors import ExecutionArchived


def answer_for_archived(item: Item, state: ExecutionState) -> None:
    """Answer a second start as for any that ended, refuse what would change it, drop what a worker still sends."""
    if isinstance(item, ResultItem | WakeItem) or item.done.done():
        return
    if isinstance(item, StartItem):
        item.done.set_result(Accepted(state.id, state.status, state.version, 0))
    else:
        item.done.set_exception(ExecutionArchived(state.id))
