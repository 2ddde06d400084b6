"""Executions are found by what they are and how they were started, page after page, in one tenant."""

import datetime as dt
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from services.workflow.adapters import execution_lists
from services.workflow.app.lists import STATUSES, ExecutionFilter, Span
from services.workflow.domain.labels import TAG
from services.workflow.entry.filters import Status
from tests.conftest import Backbone
from tests.fixtures.executions import BEGAN, Kept, kept_executions, scope_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

MINUTE = dt.timedelta(minutes=1)
ALL = ExecutionFilter()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kept(backbone: Backbone) -> AsyncIterator[Kept]:
    async with kept_executions(backbone) as kept:
        yield kept


async def found(kept: Kept, tenant: UUID, wanted: ExecutionFilter, limit: int = 3) -> list[UUID]:
    """Return all that a list holds, read page by page, and hold its total against it."""
    ids: list[UUID] = []
    place = None
    while True:
        listed = await kept.lists.page(scope_of(tenant), wanted, place, 0, limit)
        assert len(listed.rows) <= limit
        ids += [row["id"] for row in listed.rows]
        place = listed.following
        if place is None:
            assert (listed.total, listed.exact) == (len(ids), True)
            return ids


async def test_a_list_is_narrowed_by_each_and_all(kept: Kept) -> None:
    tenant, first, second = uuid4(), uuid4(), uuid4()
    made = {
        name: await kept.execution(tenant, workflow, status, started=number * MINUTE, **more)  # type: ignore[arg-type]
        for number, (name, workflow, status, more) in enumerate(
            [
                ("a", first, "completed", {"attributes": {"customer": "c-1", "amount": 5}, "tags": ["eu"]}),
                ("b", first, "failed", {"attributes": {"customer": "c-1"}, "trigger": "event"}),
                ("c", second, "running", {"attributes": {"customer": "c-2", "paid": True}, "tags": ["eu", "big"]}),
                ("d", second, "cancelled", {"took": 60 * MINUTE}),
                ("e", first, "completed", {"attributes": {"amount": 5.0}, "trigger": "event"}),
            ]
        )
    }

    async def of(wanted: ExecutionFilter) -> str:
        names = {execution: name for name, execution in made.items()}
        return "".join(names[execution] for execution in await found(kept, tenant, wanted, 2))

    assert await of(ALL) == "edcba"
    assert await of(ExecutionFilter(statuses=("failed",))) == "b"
    assert await of(ExecutionFilter(statuses=("failed", "running", "cancelled"))) == "dcb"
    assert await of(ExecutionFilter(statuses=("paused",))) == ""
    assert await of(ExecutionFilter(workflow_id=first)) == "eba"
    assert await of(ExecutionFilter(workflow_id=first, statuses=("completed",))) == "ea"
    assert await of(ExecutionFilter(trigger="event")) == "eb"
    assert await of(ExecutionFilter(trigger="event", workflow_id=first, statuses=("failed",))) == "b"
    assert await of(ExecutionFilter(labels=(("customer", "c-1"),))) == "ba"
    assert await of(ExecutionFilter(labels=(("amount", "5"),))) == "ea"
    assert await of(ExecutionFilter(labels=(("paid", "true"),))) == "c"
    assert await of(ExecutionFilter(labels=((TAG, "eu"),))) == "ca"
    assert await of(ExecutionFilter(labels=((TAG, "eu"), (TAG, "big")))) == "c"
    assert await of(ExecutionFilter(labels=(("customer", "c-1"), ("amount", "5")))) == "a"
    assert await of(ExecutionFilter(labels=(("customer", "c-1"),), statuses=("failed",), trigger="event")) == "b"
    assert await of(ExecutionFilter(labels=(("customer", "c-1"),), workflow_id=second)) == ""
    day = Span(BEGAN + MINUTE, BEGAN + 3 * MINUTE)
    assert await of(ExecutionFilter(started=day)) == "cb"
    assert await of(ExecutionFilter(started=day, labels=(("customer", "c-2"),))) == "c"
    assert await of(ExecutionFilter(ended=Span())) == "deba"
    assert await of(ExecutionFilter(ended=Span(after=BEGAN + 50 * MINUTE))) == "d"
    assert await of(ExecutionFilter(ended=Span(), statuses=("completed",), labels=(("amount", "5"),))) == "ea"
    assert await of(ExecutionFilter(ended=Span(), started=day, workflow_id=first)) == "b"


async def test_a_row_shows_how_it_was_started_and_why_it_failed(kept: Kept) -> None:
    tenant = uuid4()
    await kept.execution(tenant, uuid4(), "failed", trigger="event", attributes={"n": 1.5}, tags=["x"])
    [row] = (await kept.lists.page(scope_of(tenant), ALL, None, 0, 5)).rows
    assert (row["trigger"], row["error_code"]) == ("event", "tool_failed")
    assert row["labels"] == b'{"attributes":{"n":1.5},"tags":["x"]}'


async def test_no_tenant_sees_anothers(kept: Kept) -> None:
    tenant, workflow = uuid4(), uuid4()
    await kept.execution(tenant, workflow, attributes={"customer": "c-1"}, tags=["eu"])
    for wanted in (
        ALL,
        ExecutionFilter(workflow_id=workflow),
        ExecutionFilter(labels=(("customer", "c-1"),)),
        ExecutionFilter(labels=(("customer", "c-1"), (TAG, "eu"))),
        ExecutionFilter(ended=Span()),
        ExecutionFilter(trigger="http"),
    ):
        assert len(await found(kept, tenant, wanted)) == 1
        assert await found(kept, uuid4(), wanted) == []


@pytest.mark.parametrize("wanted", [ALL, ExecutionFilter(labels=(("k", "v"),)), ExecutionFilter(trigger="http")])
async def test_pages_hold_what_there_was_whatever_comes_meanwhile(kept: Kept, wanted: ExecutionFilter) -> None:
    tenant, workflow = uuid4(), uuid4()
    attributes = {"k": "v"}
    before = [
        await kept.execution(tenant, workflow, started=(n // 2) * MINUTE, attributes=attributes) for n in range(10)
    ]
    seen: list[UUID] = []
    place = None
    for turn in range(100):
        listed = await kept.lists.page(scope_of(tenant), wanted, place, 0, 3)
        seen += [row["id"] for row in listed.rows]
        await kept.execution(tenant, workflow, started=(10 + turn) * MINUTE, attributes=attributes)
        place = listed.following
        if place is None:
            break
    assert len(seen) == len(set(seen))
    assert set(seen) == set(before)


async def test_an_offset_skips_what_is_wanted(kept: Kept) -> None:
    tenant, workflow = uuid4(), uuid4()
    made = [
        await kept.execution(tenant, workflow, started=n * MINUTE, trigger="event" if n % 2 else "http")
        for n in range(8)
    ][::-1]
    for wanted, ids in ((ALL, made), (ExecutionFilter(trigger="event"), made[::2])):
        listed = await kept.lists.page(scope_of(tenant), wanted, None, 1, 2)
        assert [row["id"] for row in listed.rows] == ids[1:3]
        assert listed.total == len(ids)


async def test_what_must_be_looked_through_comes_in_bounded_pages(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_lists, "LIST_SCAN_ROWS", 4)
    tenant, workflow = uuid4(), uuid4()
    triggers = {0: "event", 9: "event"}
    made = [
        await kept.execution(
            tenant, workflow, started=n * MINUTE, trigger=triggers.get(n, "http"), attributes={"k": "v", "n": n}
        )
        for n in range(10)
    ]
    for wanted in (
        ExecutionFilter(trigger="event"),
        ExecutionFilter(trigger="event", ended=Span()),
        ExecutionFilter(trigger="event", labels=(("k", "v"),)),
    ):
        pages = []
        place = None
        while True:
            listed = await kept.lists.page(scope_of(tenant), wanted, place, 0, 5)
            pages.append([row["id"] for row in listed.rows])
            place = listed.following
            if place is None:
                break
        assert pages == [[made[9]], [], [made[0]]]
        assert not listed.exact
    listed = await kept.lists.page(scope_of(tenant), ALL, None, 0, 5)
    assert (listed.total, listed.exact) == (4, False)
    assert await kept.lists.page(scope_of(tenant), ExecutionFilter(labels=(("n", "3"),)), None, 0, 5) != listed


async def test_a_start_that_is_refused_leaves_no_attributes(kept: Kept) -> None:
    """Another writer was ahead: nothing of the transition is written."""
    tenant = uuid4()
    await kept.execution(tenant, uuid4(), "running", attributes={"k": "first"})
    row = (await kept.lists.page(scope_of(tenant), ALL, None, 0, 1)).rows[0]
    again = {"tenant_id": tenant, "stream_id": row["id"], "version": 1}
    with pytest.raises(AssertionError):
        await kept.write_raw(None, "workflow.execution-started.v1", b"{}", **again)
    assert await found(kept, tenant, ExecutionFilter(labels=(("k", "first"),))) == [row["id"]]


async def test_every_status_is_in_the_list_of_all(kept: Kept) -> None:
    """A status that the lists do not know is refused by the table, not lost from them."""
    assert set(Status.__args__) == set(STATUSES)
    tenant = uuid4()
    for status in STATUSES:
        await kept.execution(tenant, uuid4(), status)
    assert len(await found(kept, tenant, ALL)) == len(STATUSES)
    with pytest.raises(asyncpg.CheckViolationError):
        await kept.execution(tenant, uuid4(), "asleep")
