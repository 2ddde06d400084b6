"""The engine's queue: who goes first, that nobody waits for ever, and that nothing is lost or comes twice."""

import asyncio
from collections import deque
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.workflow.app.fair_queue import FairQueue
from services.workflow.app.items import Item, StartItem, WakeItem
from services.workflow.limits import STARTS_AT_LEAST


def start(number: int, tenant: int = 1, priority: int = 5) -> StartItem:
    done: asyncio.Future[object] = asyncio.Future(loop=LOOP)
    return StartItem(UUID(int=number), UUID(int=tenant), UUID(int=0), 1, None, {}, "t", "a", None, done, priority)  # type: ignore[arg-type]


LOOP = asyncio.new_event_loop()


def wake(number: int) -> WakeItem:
    return WakeItem(UUID(int=number), [])


def drained(queue: FairQueue) -> list[int]:
    taken = []
    while queue:
        taken.append(queue.popleft().execution_id.int)
    return taken


def test_one_tenant_is_served_as_it_comes() -> None:
    assert drained(FairQueue(start(n) for n in range(50))) == list(range(50))
    assert drained(FairQueue(wake(n) for n in range(50))) == list(range(50))


def test_what_runs_comes_before_what_is_to_begin() -> None:
    assert drained(FairQueue([start(1), start(2), wake(3), wake(4)])) == [3, 4, 1, 2]


def test_starts_come_though_there_is_always_something_that_runs() -> None:
    queue = FairQueue([start(1000 + n) for n in range(5)])
    taken = []
    for number in range(STARTS_AT_LEAST * 6):
        queue.append(wake(number))
        taken.append(queue.popleft().execution_id.int)
    assert [t for t in taken if t >= 1000] == [1000, 1001, 1002, 1003, 1004]
    assert taken.index(1000) == STARTS_AT_LEAST - 1


def test_tenants_take_turns_whatever_they_ask_for() -> None:
    queue = FairQueue([*(start(n) for n in range(20_000)), start(100_001, 2), start(100_002, 2), start(100_003, 3)])
    assert drained(queue)[:6] == [0, 100_001, 100_003, 1, 100_002, 2]


def test_one_that_comes_late_waits_one_turn_of_each() -> None:
    queue = FairQueue(start(10 * tenant + n, tenant) for tenant in (1, 2, 3) for n in range(5))
    assert queue.popleft().execution_id.int == 10
    queue.append(start(99, 4))
    assert [queue.popleft().execution_id.int for _ in range(4)] == [20, 30, 11, 99]


def test_within_a_tenant_priority_decides_and_then_arrival() -> None:
    queue = FairQueue([start(1), start(2, priority=1), start(3, priority=10), start(4), start(5, 2, 1), start(6, 2, 9)])
    assert drained(queue) == [3, 6, 1, 5, 4, 2]


def test_what_is_put_back_comes_first_in_its_order() -> None:
    queue = FairQueue([wake(1), start(2)])
    queue.extendleft(reversed([start(7), wake(8)]))
    assert drained(queue) == [7, 8, 1, 2]


def test_an_empty_one_has_nothing() -> None:
    with pytest.raises(IndexError):
        FairQueue().popleft()


items = st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(1, 10)), max_size=60)


@given(items, st.lists(st.sampled_from(["pop", "back"]), max_size=40))
def test_nothing_is_lost_and_nothing_comes_twice(made: list[tuple[bool, int, int]], moves: list[str]) -> None:
    queue, pending = FairQueue(), deque(made)
    there: set[int] = set()
    number = 0
    held: Item | None = None
    for move in moves:
        for _ in range(min(3, len(pending))):
            is_start, tenant, priority = pending.popleft()
            number += 1
            there.add(number)
            queue.append(start(number, tenant, priority) if is_start else wake(number))
        if move == "back" and held is not None:
            queue.extendleft([held])
            there.add(held.execution_id.int)
            held = None
        elif queue:
            held = queue.popleft()
            there.remove(held.execution_id.int)
        assert len(queue) == len(there)
        assert {item.execution_id.int for item in queue} == there
    assert set(drained(queue)) == there
    assert len(queue) == 0
