"""Looking back: what changed between two versions of an execution, and whether today's code still tells its history."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec

from services.workflow.app.queries import execution_view
from services.workflow.app.states import state_of
from services.workflow.domain.changes import Change, changes
from services.workflow.domain.language.program import Program
from services.workflow.domain.shadow import Difference, Shadow, shadow, why_not
from services.workflow.domain.state import ExecutionState
from services.workflow.limits import MAX_STATE_CHANGES
from shared.eventstore.event import RecordedEvent


class Replayed(msgspec.Struct):
    """A history, folded and decided anew with today's code. `same`: it tells today what it told then.

    `decided_anew` is false where a history says less than that takes, `why_not` says what is missing.
    """

    execution_id: str
    version: int
    status: str
    same: bool
    differences: list[Difference]
    decided_anew: bool
    why_not: str | None = None


def changes_between(before: Sequence[RecordedEvent], after: Sequence[RecordedEvent]) -> tuple[list[Change], bool]:
    """Return what is different after the longer of two stretches of one history, and whether there is more of it."""
    old, new = _shown(state_of(before)), _shown(state_of(after))
    found = list(islice(changes(old, new), MAX_STATE_CHANGES + 1))
    return found[:MAX_STATE_CHANGES], len(found) > MAX_STATE_CHANGES


def replay(events: Sequence[RecordedEvent], row: Any, program: Program | None) -> Replayed:
    """Fold the history and hold it against the status row; decide it anew and hold that against what was recorded."""
    state = state_of(events)
    found = []
    if row["completed_at"] is not None or state.ended:
        found += [
            Difference("", name, kept, told)
            for name, kept, told in (
                ("status", row["status"], state.status),
                ("version", row["version"], state.version),
            )
            if kept != told
        ]
    reason = "its definition cannot be read" if program is None else why_not(state, program)
    if program is not None and reason is None:
        again: Shadow = shadow(state, program)
        found += again.differences
        found += [Difference(path, "new", None, "waits for a result") for path in again.stopped_at]
    return Replayed(state.key, state.version, state.status, not found, found, reason is None, reason)


def _shown(state: ExecutionState) -> dict[str, Any]:
    view: dict[str, Any] = msgspec.to_builtins(execution_view(state, None))
    del view["archived"]  # where it lies now is no part of what happened
    view["steps"] = {step["step_path"]: step for step in view["steps"]}
    return view
