"""Recorded histories of every step type and control, told again with the code of today."""

from pathlib import Path

import msgspec
import pytest

from services.workflow.domain import commands as c
from services.workflow.domain.decide import decide
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import compile_program
from services.workflow.domain.language.steps import STEP_TYPES
from services.workflow.domain.shadow import shadow, why_not
from services.workflow.domain.state import ExecutionState
from shared.eventstore.catalogue import DomainEvent
from tests.stateful.stories import FOLDER, Story, command_of
from tests.unit.workflow_engine.scenario import EXECUTION, TENANT, plain

STORIES = sorted(FOLDER.glob("*.json"))


def events_of(story: Story) -> list[DomainEvent]:
    return [EXECUTION_EVENTS.decode(type_, msgspec.json.encode(body)) for type_, body in story.events]


def folded(events: list[DomainEvent]) -> ExecutionState:
    state = ExecutionState(EXECUTION, TENANT)
    for event in events:
        evolve(state, event)
    return state


def read(path: Path) -> Story:
    return msgspec.json.decode(path.read_bytes(), type=Story)


def test_there_is_one_of_every_step_type() -> None:
    assert set(STEP_TYPES) <= {path.stem for path in STORIES}


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_todays_code_decides_what_was_recorded(path: Path) -> None:
    story = read(path)
    program = compile_program(parse_definition(story.definition))
    state = ExecutionState(EXECUTION, TENANT)
    decided = [event for kind, body in story.told for event in decide(state, program, command_of(kind, body))]
    assert decided == events_of(story)
    assert plain(folded(events_of(story))) == plain(state)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_what_is_recorded_decides_itself_again(path: Path) -> None:
    story = read(path)
    recorded = folded(events_of(story))
    program = compile_program(parse_definition(story.definition))
    if why_not(recorded, program) is None:
        came = shadow(recorded, program)
        assert (came.status, came.differences, came.stopped_at) == (recorded.status, [], [])


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_it_goes_on_from_any_event(path: Path) -> None:
    """Fold up to each event, and on from what was stored of it: as a snapshot does."""
    events = events_of(read(path))
    whole = plain(folded(events))
    for cut in range(1, len(events), 1 + len(events) // 50):
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(folded(events[:cut])), type=ExecutionState)
        for event in events[cut:]:
            evolve(state, event)
        assert plain(state) == whole


def test_a_changed_decision_is_seen() -> None:
    story = read(FOLDER / "conditional.json")
    definition = {**story.definition, "steps": story.definition["steps"][:1]}
    state = ExecutionState(EXECUTION, TENANT)
    start = command_of(*story.told[0])
    assert isinstance(start, c.Start)
    decided = decide(state, compile_program(parse_definition(definition)), start)
    assert [event.TYPE for event in decided] != [type_ for type_, _ in story.events]
