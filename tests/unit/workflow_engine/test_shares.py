"""Fair shares: from any start, processes that each follow their own arithmetic come to rest at equal shares."""

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.workflow.app.ports import Owners
from services.workflow.app.shares import Move, next_move, quota
from services.workflow.limits import MOVED_AT_ONCE
from shared.bus.tasks import PARTITIONS


def engines(count: int) -> list[UUID]:
    return [UUID(int=n + 1) for n in range(count)]


@pytest.mark.parametrize("count", range(1, 40))
def test_quotas_give_out_every_partition_and_differ_by_one_at_most(count: int) -> None:
    living = engines(count)
    quotas = [quota(living, engine) for engine in living]
    assert sum(quotas) == PARTITIONS
    assert max(quotas) - min(quotas) <= 1
    assert quotas == sorted(quotas, reverse=True), "the oldest keep what cannot be split"


@given(st.integers(1, 9), st.randoms(use_true_random=False), st.data())
def test_every_start_comes_to_rest_at_fair_shares(count: int, chance: random.Random, data: st.DataObject) -> None:
    living = engines(count)
    owner_or_none = st.sampled_from([*living, None])
    drawn = data.draw(st.lists(owner_or_none, min_size=PARTITIONS, max_size=PARTITIONS))
    owners = {partition: owner for partition, owner in enumerate(drawn) if owner is not None}
    for _ in range(200):
        moved = False
        for engine in chance.sample(living, count):
            held = {p for p, owner in owners.items() if owner == engine}
            move = next_move(Owners(living, owners), engine, held)
            assert not (move.take and move.give)
            assert len(move.give) + PARTITIONS - len(owners) <= max(MOVED_AT_ONCE, PARTITIONS - len(owners))
            assert held.issuperset(move.give)
            assert not held.intersection(move.take)
            for partition in move.take:
                assert partition not in owners, "nothing is taken from a living engine"
                owners[partition] = engine
            for partition in move.give:
                del owners[partition]
            moved = moved or bool(move.take or move.give)
        if not moved:
            break
    shares = [list(owners.values()).count(engine) for engine in living]
    assert shares == [quota(living, engine) for engine in living]


def test_nothing_moves_when_shares_are_fair() -> None:
    living = engines(3)
    owners = {p: living[p % 3] for p in range(PARTITIONS)}
    held = [{p for p, owner in owners.items() if owner == engine} for engine in living]
    assert all(next_move(Owners(living, owners), e, h) == Move() for e, h in zip(living, held, strict=True))


def test_a_claim_that_was_not_noticed_is_taken_again() -> None:
    living = engines(1)
    owners = dict.fromkeys(range(PARTITIONS), living[0])
    assert next_move(Owners(living, owners), living[0], set(range(30))).take == [30, 31]


def test_who_is_not_counted_moves_nothing() -> None:
    me, other = engines(2)
    assert next_move(Owners([other], {}), me, set()).take == []
