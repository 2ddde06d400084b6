"""Snapshots that other code wrote: they are not read, and the history is."""

import hashlib
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from services.workflow.app import states
from services.workflow.app.states import SNAPSHOT_SHAPE, States, snapshot_of, state_of
from services.workflow.domain.state import ExecutionState
from shared.eventstore.event import Snapshot
from tests.unit.workflow_engine.engine_house import House, Programs, Store, until
from tests.unit.workflow_engine.scenario import plain, program_of, tool

SHAPES = {1: "7c335e00d8a753fa"}
"""By shape, the digest of the fields and types of all that a snapshot holds."""


def structs_of(type_: Any, seen: set[type]) -> Iterator[type[msgspec.Struct]]:
    for inner in get_args(type_):
        yield from structs_of(inner, seen)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct) and type_ not in seen:
        seen.add(type_)
        yield type_
        for field in msgspec.structs.fields(type_):
            yield from structs_of(field.type, seen)


def digest() -> str:
    said = [
        f"{struct.__name__}.{field.encode_name}: {field.type}"
        for struct in structs_of(ExecutionState, set())
        for field in msgspec.structs.fields(struct)
    ]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def test_a_state_of_other_fields_has_a_shape_of_its_own() -> None:
    """If this fails: count SNAPSHOT_SHAPE up, and put the new digest beside it here."""
    names = {struct.__name__ for struct in structs_of(ExecutionState, set())}
    assert names >= {"ExecutionState", "StepState", "Wait", "Held", "Undoing", "StepError", "Parent"}
    assert SHAPES.get(SNAPSHOT_SHAPE) == digest()


def _without_shape(snapshot: Snapshot) -> bytes:
    return snapshot.state[2:]


def _of_a_later_shape(snapshot: Snapshot) -> bytes:
    return (SNAPSHOT_SHAPE + 1).to_bytes(2) + snapshot.state[2:]


def _cut_off(snapshot: Snapshot) -> bytes:
    return snapshot.state[:-1]


@pytest.mark.parametrize("change", [_without_shape, _of_a_later_shape, _cut_off])
async def test_a_snapshot_of_another_shape_is_as_good_as_none(change: Any) -> None:
    program = program_of([tool("a"), tool("b")])
    async with House(program) as house:
        run = (await house.start()).execution_id
        house.done(run, "a", {"x": 1})
        await until(lambda: len(house.sent.tasks) == 2)
        whole = state_of(house.store.log.stream(run))
        other = snapshot_of(state_of(house.store.log.stream(run)[:3]))
        await house.store.save_snapshot(Snapshot(other.tenant_id, run, other.version, change(other)))
        loaded = (await States(house.store, Programs(program)).load([run]))[run]
        assert loaded is not None
        assert plain(loaded) == plain(whole)


async def test_a_snapshot_of_this_shape_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted(Store):
        async def read_streams(self, stream_ids: Any, *, whole: bool = False) -> Any:
            assert not whole
            return await super().read_streams(stream_ids)

    program = program_of([tool("a"), tool("b")])
    async with House(program, Counted()) as house:
        run = (await house.start()).execution_id
        whole = state_of(house.store.log.stream(run))
        await house.store.save_snapshot(snapshot_of(whole))
        folded: list[int] = []
        real = states.evolve
        monkeypatch.setattr(states, "evolve", lambda state, event: folded.append(1) or real(state, event))
        loaded = (await States(house.store, Programs(program)).load([run]))[run]
        assert loaded is not None
        assert plain(loaded) == plain(whole)
        assert not folded
