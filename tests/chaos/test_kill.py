"""Whatever is killed in the middle, each of a thousand executions happens exactly once, to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio

from tests.chaos.disturbed import decoded, differences, faults, folded
from tests.chaos.field import PATIENCE_S, WORKFLOWS, Field, check_histories, field_on
from tests.chaos.storm import STRIKES, Start, Storm
from tests.e2e.conftest import Whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXECUTIONS = 1_000
READERS = 8


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def field(whole: Whole, demo: httpx2.AsyncClient) -> AsyncIterator[Field]:
    async with field_on(whole, demo) as field:
        yield field


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
    await check_histories(field, wanted)
    await _check_served(field, wanted)
    await _check_published(field, wanted)


async def _until_replaced(pids: Callable[[], dict[str, int]], victim: str, killed: set[int]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while pids().get(victim) in {*killed, None}:
            await asyncio.sleep(0.05)
    assert not any(Path("/proc", str(pid)).exists() for pid in killed)


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
