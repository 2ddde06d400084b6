"""Where an execution stands, for other services: what it waits for, how far it is, and what came of it."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.language.program import Program
from services.workflow.domain.state import CANCELLED, COMPLETED, FAILED, SKIPPED, ExecutionState
from services.workflow.domain.step_error import StepError
from services.workflow.domain.where import name_of

_OVER = frozenset({COMPLETED, FAILED, CANCELLED, SKIPPED})


class WaitsFor(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step waits for: a signal by `name` (`event`), or a person's decision (`approval`)."""

    kind: str
    name: str
    step: str
    deadline: dt.datetime | None = None


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """An execution after `version` events. Steps are those at the top of the definition."""

    execution_id: UUID
    workflow_id: UUID | None
    revision: int
    status: str
    version: int
    started_at: dt.datetime
    completed_at: dt.datetime | None = None
    steps_done: int = 0
    steps_total: int | None = None
    waits_for: list[WaitsFor] = []
    output: Any = None
    error: StepError | None = None


def standing_of(state: ExecutionState, program: Program | None) -> Standing:
    """Return where a folded execution stands. Without its program it is not known how many steps there are."""
    top = () if program is None else program.top
    return Standing(
        state.id,
        state.workflow_id,
        state.revision,
        state.status,
        state.version,
        _time(state.started_at),
        None if state.ended_at is None else _time(state.ended_at),
        sum(node.name in state.steps and state.steps[node.name].status in _OVER for node in top),
        len(top) if program is not None else None,
        [_waits_for(state, path) for path in state.open_waits],
        state.output,
        state.error,
    )


def _waits_for(state: ExecutionState, path: str) -> WaitsFor:
    wait, deadline = state.open_waits[path], state.steps[path].deadline
    return WaitsFor(wait.kind, wait.name, name_of(path), None if deadline is None else _time(deadline))


def _time(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
