"""Slots in turn over tenants, by priority within one, and none lost whatever is cancelled when."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.bus.fair_slots import Displaced, FairSlots
from shared.limits import FAIR_OLDEST_EVERY, TASK_PRIORITY_MAX

A, B, C = (UUID(int=number) for number in (1, 2, 3))


class Yard:
    """Jobs that want a slot: each notes when it got one, and keeps it until it is told to end."""

    def __init__(self, slots: int) -> None:
        self.slots = FairSlots(slots)
        self.began: list[str] = []
        self.jobs: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def want(self, name: str, tenant: UUID, priority: int = 5) -> None:
        self.call(name, tenant, priority)
        await settled()

    def call(self, name: str, tenant: UUID, priority: int = 5) -> None:
        self._ends[name] = asyncio.Event()
        self.jobs[name] = asyncio.create_task(self._work(name, tenant, priority))

    async def _work(self, name: str, tenant: UUID, priority: int) -> None:
        async with self.slots.slot(tenant, priority):
            self.began.append(name)
            await self._ends[name].wait()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settled()

    def holding(self) -> list[str]:
        return [name for name in self.began if not self.jobs[name].done()]

    def waiting(self) -> list[asyncio.Task[None]]:
        return [job for name, job in self.jobs.items() if not job.done() and name not in self.began]

    async def through(self) -> list[str]:
        """End whoever holds a slot, one after the other, and return in which order all began."""
        while held := self.holding():
            await self.end(held[0])
        return self.began


async def settled() -> None:
    """Let every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_free_slot_is_taken_at_once_and_given_back() -> None:
    slots = FairSlots(2)
    async with slots.slot(A, 5):
        assert slots.free == 1
    assert slots.free == 2


async def test_one_task_is_the_next_behind_a_flood() -> None:
    yard = Yard(1)
    for number in range(2_000):
        yard.call(f"flood{number}", A)
    await settled()
    await yard.want("one", B)
    await yard.end("flood0")
    assert yard.began[:2] == ["flood0", "flood1"]
    await yard.end("flood1")
    assert yard.began[2] == "one"
    for job in yard.jobs.values():
        job.cancel()
    await asyncio.gather(*yard.jobs.values(), return_exceptions=True)
    assert (yard.slots.free, yard.slots.waiting) == (1, 0)


async def test_tenants_take_turns() -> None:
    yard = Yard(1)
    await yard.want("first", C)
    for number in range(3):
        await yard.want(f"a{number}", A)
    for number in range(2):
        await yard.want(f"b{number}", B)
    await yard.want("c", C)
    assert await yard.through() == ["first", "a0", "b0", "c", "a1", "b1", "a2"]


async def test_the_highest_priority_goes_first_then_who_came_first() -> None:
    yard = Yard(1)
    await yard.want("first", A)
    for name, priority in (("low", 1), ("mid", 5), ("mid2", 5), ("high", 10)):
        await yard.want(name, A, priority)
    assert await yard.through() == ["first", "high", "mid", "mid2", "low"]


async def test_a_priority_counts_among_the_tenants_own_tasks_only() -> None:
    yard = Yard(1)
    await yard.want("first", C)
    await yard.want("modest", B, 1)
    for number in range(2):
        await yard.want(f"loud{number}", A, 10)
    assert await yard.through() == ["first", "modest", "loud0", "loud1"]


async def test_the_oldest_gets_each_so_manieth_slot_of_its_tenant() -> None:
    yard = Yard(1)
    await yard.want("first", A)
    for number in range(2):
        await yard.want(f"low{number}", A, 1)
    for number in range(3 * FAIR_OLDEST_EVERY):  # of these there is always one waiting
        await yard.want(f"high{number}", A, 10)
    order = await yard.through()
    assert [order.index("low0"), order.index("low1")] == [FAIR_OLDEST_EVERY, 2 * FAIR_OLDEST_EVERY]


async def test_who_is_cancelled_while_waiting_is_passed_over() -> None:
    yard = Yard(1)
    for name, tenant in (("first", A), ("gone", A), ("after", A), ("other", B)):
        await yard.want(name, tenant)
    yard.jobs["gone"].cancel()
    await settled()
    assert yard.slots.waiting == 2
    assert await yard.through() == ["first", "after", "other"]
    assert yard.slots.free == 1


async def test_who_is_cancelled_in_the_moment_of_the_grant_gives_it_on() -> None:
    yard = Yard(1)
    for name in ("first", "granted", "after"):
        await yard.want(name, A)
    yard._ends["first"].set()
    await asyncio.sleep(0)  # `first` has left, `granted` was given its slot and has not run since
    assert (yard.began, yard.slots.waiting) == (["first"], 1)
    yard.jobs["granted"].cancel()
    await settled()
    assert yard.holding() == ["after"]
    assert await yard.through() == ["first", "after"]
    assert yard.slots.free == 1


async def test_who_is_cancelled_and_has_not_run_since_is_given_nothing() -> None:
    yard = Yard(1)
    for name, tenant in (("first", A), ("gone", A), ("after", A), ("other", B)):
        await yard.want(name, tenant)
    yard._ends["first"].set()
    yard.jobs["gone"].cancel()  # before `first` has given its slot back
    await settled()
    assert yard.holding() == ["after"]  # the turn is its tenant's still
    assert await yard.through() == ["first", "after", "other"]
    assert yard.slots.free == 1


async def test_a_task_that_fails_gives_its_slot_back() -> None:
    slots = FairSlots(1)
    with pytest.raises(ZeroDivisionError):
        async with slots.slot(A, 5):
            raise ZeroDivisionError
    assert slots.free == 1


async def test_the_longest_line_makes_room_with_who_can_best_be_spared() -> None:
    yard = Yard(1)
    await yard.want("first", A)
    for name, priority in (("a", 5), ("b", 1), ("c", 9), ("d", 1)):
        await yard.want(name, A, priority)
    assert not yard.slots.displace(A)  # the one with the longest line displaces nobody
    assert yard.slots.displace(B)
    await settled()
    assert isinstance(yard.jobs["d"].exception(), Displaced)
    assert await yard.through() == ["first", "c", "a", "b"]
    assert yard.slots.free == 1


async def test_lines_of_the_same_length_displace_nobody() -> None:
    yard = Yard(1)
    for name, tenant in (("first", A), ("a", A), ("b", B)):
        await yard.want(name, tenant)
    assert not yard.slots.displace(B)
    assert not yard.slots.displace(C)  # it would have as many then as the one that lost one had
    await yard.through()
    assert not yard.slots.displace(C)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.sampled_from([A, B, C]), st.integers(1, TASK_PRIORITY_MAX)),
        st.tuples(st.just("end"), st.integers(0, 5), st.none()),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.none()),
        st.tuples(st.just("race"), st.integers(0, 2), st.integers(0, 4)),
        st.tuples(st.just("displace"), st.sampled_from([A, B, C]), st.none()),
        st.tuples(st.just("run"), st.integers(1, 3), st.none()),
    ),
    max_size=60,
)


async def race(yard: Yard, sleeps: int, cancelled: int) -> None:
    """Cancel some between the end of one and what the next makes of its slot."""
    await settled()
    for name in yard.holding()[:1]:
        yard._ends[name].set()
    for _ in range(sleeps):
        await asyncio.sleep(0)
    for job in yard.waiting()[:cancelled]:
        job.cancel()


async def move(yard: Yard, name: str, what: str, first: Any, second: Any) -> None:
    held = yard.holding()
    if what == "want":
        yard.call(name, first, second)
    elif what == "displace":
        yard.slots.displace(first)
    elif what == "run":
        for _ in range(first):
            await asyncio.sleep(0)
    elif what == "cancel" and yard.jobs:
        list(yard.jobs.values())[first % len(yard.jobs)].cancel()
    elif what == "end" and held:
        yard._ends[held[first % len(held)]].set()
    elif what == "race":
        await race(yard, first, second)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 3), STEPS)
def test_no_slot_is_lost_or_made_whatever_is_cancelled_when(count: int, steps: list[tuple[str, Any, Any]]) -> None:
    async def play() -> None:
        yard = Yard(count)
        for number, step in enumerate(steps):
            await move(yard, str(number), *step)
            assert len(yard.holding()) <= count
        await settled()
        waiting = yard.waiting()
        assert yard.slots.waiting == len(waiting)
        assert yard.slots.free + len(yard.holding()) == count
        assert not (waiting and yard.slots.free)
        await yard.through()
        assert (yard.slots.free, yard.slots.waiting) == (count, 0)
        assert max(Counter(yard.began).values(), default=1) == 1
        results = await asyncio.gather(*yard.jobs.values(), return_exceptions=True)
        assert all(result is None or isinstance(result, Displaced | asyncio.CancelledError) for result in results)
        assert not yard.slots._lines
        assert not yard.slots._by_length
        assert yard.slots._longest == 0

    asyncio.run(play())


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from([A, A, A, B]), st.sampled_from([1, 5, 10, 10])), min_size=25, max_size=60))
def test_nobody_waits_longer_than_the_bound(wants: list[tuple[UUID, int]]) -> None:
    async def play() -> None:
        yard = Yard(1)
        await yard.want("first", A)
        for number, (tenant, priority) in enumerate(wants):
            yard.call(f"{number}", tenant, priority)
        await settled()
        order = [int(name) for name in (await yard.through())[1:]]
        for tenant in (A, B):
            own = [number for number in order if wants[number][0] == tenant]
            for place, number in enumerate(sorted(own), 1):
                assert own.index(number) < place * FAIR_OLDEST_EVERY

    asyncio.run(play())
