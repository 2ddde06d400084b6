"""Whatever is killed in the middle, each of a thousand executions happens exactly once, to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from tests.chaos.disturbed import Mark, decoded, differences, faults, folded, marks
from tests.chaos.storm import STRIKES, Ledger, Start, Storm, starts
from tests.e2e.conftest import Whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXECUTIONS = 1_000
HTTP_SHARE = 10  # one of so many executions has an http step
PATIENCE_S = 90.0
READERS = 8
WORKFLOWS = "/workflows/workflows"


def _tool(name: str, tool: str, a: str, b: Any) -> dict[str, Any]:
    return {"type": "mcp_tool", "name": name, "server_id": "calculator", "tool_name": tool, "input": {"a": a, "b": b}}


SUM = [
    _tool("doubled", "multiply", "{input.n}", 2),
    _tool("raised", "add", "{doubled.result}", 7),
    _tool("squared", "multiply", "{raised.result}", "{raised.result}"),
]
LAST = {"type": "transform", "name": "told", "input": {"n": "{input.n}", "squared": "{squared.result}"}}
FETCH = {"type": "http", "name": "stock", "url": "{input.site}/stock.json"}
DEFINITIONS = {"chaos-sum": [*SUM, LAST], "chaos-fetch": [*SUM, FETCH, LAST]}


class Field:
    """Where the executions run, and how each workflow goes when nothing happens."""

    def __init__(self, whole: Whole, http: httpx2.AsyncClient, client: Client, ledger: Ledger, tenant_id: UUID) -> None:
        self.whole = whole
        self.http = http
        self.client = client
        self.ledger = ledger
        self.tenant_id = tenant_id
        self.undisturbed: dict[str, list[Mark]] = {}

    def starts(self, count: int) -> list[Start]:
        slugs = ["chaos-fetch", *["chaos-sum"] * (HTTP_SHARE - 1)]
        return starts(count, slugs, {"site": self.whole.site.url})

    async def ended_events(self) -> set[UUID]:
        """Return the executions whose end was published to the stream of events."""
        js = self.client.jetstream()
        subject = f"events.{self.tenant_id}.workflow.execution.completed"
        state = (await js.stream_info("EVENTS", subjects_filter=subject)).state
        wanted = (state.subjects or {}).get(subject, 0)
        subscription = await js.subscribe(subject, ordered_consumer=True)
        seen = {UUID(((await subscription.next_msg(timeout=10)).headers or {})["ce-subject"]) for _ in range(wanted)}
        await subscription.unsubscribe()
        return seen


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def field(whole: Whole, demo: httpx2.AsyncClient) -> AsyncIterator[Field]:
    async def ignore(_: Exception) -> None:
        """The server is killed on purpose."""

    client = await nats.connect(
        whole.platform.nats_url,
        nkeys_seed_str=whole.platform.operator_seed,
        inbox_prefix=b"_INBOX_operator",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,
        error_cb=ignore,
    )
    for slug, steps in DEFINITIONS.items():
        stored = await demo.post(WORKFLOWS, json={"name": slug, "slug": slug, "steps": steps, "status": "active"})
        assert stored.status_code == 201, stored.text
    tenant_id = UUID((await demo.get("/auth/me")).json()["tenant_id"])
    field = Field(whole, demo, client, Ledger(whole.platform.postgres_admin_dsn), tenant_id)
    quiet = field.starts(HTTP_SHARE)
    await asyncio.wait_for(Storm(client, tenant_id, field.ledger, lambda: None).run(quiet), PATIENCE_S)
    histories = await field.ledger.histories([start.execution_id for start in quiet])
    for start in quiet:
        history = histories[start.execution_id]
        assert len(marks(history)) == len(history), "something disturbed the model"
        field.undisturbed[start.workflow] = marks(history)
    yield field
    await field.ledger.close()
    await client.close()


@pytest.mark.parametrize("victim", ["workflow", "mcp_gateway", "nats", "postgres"])
async def test_a_thousand_executions_survive_a_kill(field: Field, victim: str) -> None:
    platform = field.whole.platform
    killed: set[int] = set()

    def strike() -> None:
        killed.add(platform.pids()[victim])
        platform.kill(victim)

    wanted = field.starts(EXECUTIONS)
    storm = Storm(field.client, field.tenant_id, field.ledger, strike)
    await asyncio.wait_for(storm.run(wanted), PATIENCE_S)
    assert len(killed) == len(STRIKES)
    await _until_replaced(platform.pids, victim, killed)
    assert set(storm.statuses.values()) == {"completed"}
    assert await field.ledger.open_executions() == 0
    assert (await field.client.jetstream().stream_info("DEADLETTER")).state.messages == 0
    await _check_histories(field, wanted)
    await _check_served(field, wanted)
    await _check_published(field, wanted)


async def _until_replaced(pids: Callable[[], dict[str, int]], victim: str, killed: set[int]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while pids().get(victim) in {*killed, None}:
            await asyncio.sleep(0.05)
    assert not any(Path("/proc", str(pid)).exists() for pid in killed)


async def _check_histories(field: Field, wanted: list[Start]) -> None:
    histories = await field.ledger.histories([start.execution_id for start in wanted])
    wrong = {
        start.execution_id: found
        for start in wanted
        if (found := faults(histories[start.execution_id], field.undisturbed[start.workflow]))
    }
    assert not wrong
    for start in wanted:
        expected = {"n": start.input["n"], "squared": (start.input["n"] * 2 + 7) ** 2}
        assert folded(histories[start.execution_id]).output == expected


async def _check_served(field: Field, wanted: list[Start]) -> None:
    """What is folded from the events is what the API serves and what the status rows say."""
    ids = [start.execution_id for start in wanted]
    histories, rows = await field.ledger.histories(ids), await field.ledger.rows(ids)
    left = iter(ids)
    wrong: dict[UUID, list[str]] = {}

    async def reader() -> None:
        for execution_id in left:
            answer = await field.http.get(f"{WORKFLOWS}/executions/{execution_id}")
            assert answer.status_code == 200, answer.text
            state = folded(histories[execution_id])
            if found := differences(state, answer.json()):
                wrong[execution_id] = found
            assert rows[execution_id] == (state.status, state.version)

    await asyncio.gather(*(reader() for _ in range(READERS)))
    assert not wrong


async def _check_published(field: Field, wanted: list[Start]) -> None:
    """The end of each was told to the world, whoever died while telling."""
    ids = {start.execution_id for start in wanted}
    async with asyncio.timeout(PATIENCE_S):
        while ids - await field.ended_events():
            await asyncio.sleep(0.2)


async def test_the_checker_sees_what_must_not_be(field: Field) -> None:
    start = field.starts(1)[0]
    await asyncio.wait_for(Storm(field.client, field.tenant_id, field.ledger, lambda: None).run([start]), PATIENCE_S)
    history = (await field.ledger.histories([start.execution_id]))[start.execution_id]
    model = field.undisturbed[start.workflow]
    assert faults(history, model) == []
    twice = [*history[:3], history[2], *history[3:]]
    assert type(decoded(history)[2]).__name__ == "StepCompleted"
    assert any("completed 2 times" in fault for fault in faults(twice, model))
    assert any("end exactly once" in fault for fault in faults(history[:-1], model))
    assert any("started exactly once" in fault for fault in faults([history[0], *history], model))
    assert any("another way" in fault for fault in faults([*history[:1], *history[3:]], model))
