"""Tasks over NATS: results, duplicates, heartbeats, crashes. A real gateway, a real bus, a real database."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from nats.aio.msg import Msg

from tests.conftest import Backbone
from tests.fixtures.gateway_process import ADD, SERVERS, Running, gateway, task

pytestmark = pytest.mark.asyncio(loop_scope="session")

ACTING = f"{sys.executable} {SERVERS / 'acting_server.py'}"


CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'agentic_mcp_gateway_worker%'
"""


class Engine:
    """Hears the results of one partition."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.messages: list[int] = []

    async def listen(self, partition: int = 5) -> None:
        async def hear(message: Msg) -> None:
            results = json.loads(message.data)
            self.messages.append(len(results))
            for result in results:
                self._heard.put_nowait(result)

        await self._running.bus.subscribe(f"results.{partition}", cb=hear)
        await self._running.bus.flush()

    async def next(self, seconds: float = 15) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            return await self._heard.get()

    async def end(self) -> dict[str, Any]:
        while (result := await self.next())["status"] == "running":
            pass
        return result

    async def silence(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return self._heard.empty()


@asynccontextmanager
async def serving(backbone: Backbone) -> AsyncIterator[tuple[Running, Engine]]:
    async with gateway(backbone, commands=ACTING) as running:
        engine = Engine(running)
        await engine.listen()
        yield running, engine


async def with_acting_server(running: Running, tenant: UUID) -> None:
    async with running.client(tenant) as client:
        body = {"name": "acting", "server_type": "stdio", "command": sys.executable}
        answer = await client.post("/servers", json={**body, "args": [str(SERVERS / "acting_server.py")]})
        assert answer.status_code == 201, answer.text


async def history(running: Running, tenant: UUID) -> list[dict[str, Any]]:
    async with running.client(tenant) as client:
        answer = await client.get("/executions")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["executions"]
        return found


def append(path: Path, text: str, **more: Any) -> dict[str, Any]:
    return {"server_id": "acting", "tool_name": "append", "arguments": {"path": str(path), "text": text, **more}}


async def test_results_duplicates_and_failures(backbone: Backbone) -> None:
    tenant = uuid4()
    async with serving(backbone) as (running, engine):
        one = task(tenant, ADD)
        await running.send(one)
        result = await engine.next()
        assert (result["status"], result["output"], result["step_path"]) == ("ok", {"result": 5}, "step")
        await running.send(one)
        assert await engine.next() == result, "a repeated task is answered from memory, to the letter"
        assert len(await history(running, tenant)) == 1

        many = [task(tenant, {**ADD, "arguments": {"a": number, "b": 1}}) for number in range(200)]
        engine.messages.clear()
        await running.send(*many)
        results = {result["execution_id"]: result["output"]["result"] for result in [await engine.end() for _ in many]}
        assert results == {sent["execution_id"]: number + 1 for number, sent in enumerate(many)}
        assert max(engine.messages) > 1, "results that are ready together travel together"

        cases: list[tuple[dict[str, Any], str, bool]] = [
            ({**ADD, "server_id": "nothing"}, "tool_not_found", False),
            ({**ADD, "tool_name": "nothing"}, "tool_not_found", False),
            ({**ADD, "arguments": {"a": 1}}, "arguments_invalid", False),
            ({**ADD, "tool_name": "divide", "arguments": {"a": 1, "b": 0}}, "tool_error", False),
            ({**ADD, "unknown": 1}, "invalid_input", False),
            ({**ADD, "tool_name": "a\0b"}, "invalid_input", False),
            ({**ADD, "secret_paths": [["arguments", "a"]]}, "invalid_input", False),
            ({**ADD, "secret_paths": [["server_id"]]}, "invalid_input", False),
            ({**ADD, "secret_paths": [[]]}, "invalid_input", False),
        ]
        answers = await running.ask(*(task(tenant, payload) for payload, _, _ in cases))
        seen = [(answer["error"]["code"], answer["error"]["retryable"]) for answer in answers]
        assert seen == [(code, retryable) for _, code, retryable in cases]
        (late,) = await running.ask(task(tenant, ADD, seconds=-1))
        assert (late["error"]["code"], late["error"]["retryable"]) == ("tool_timeout", True)


async def test_a_further_attempt_is_a_retry_of_the_first(backbone: Backbone) -> None:
    tenant = uuid4()
    async with serving(backbone) as (running, _):
        first = task(tenant, ADD)
        third = {**first, "attempt": 3, "task_id": f"{first['execution_id']}/step/3"}
        await running.ask(first)
        await running.ask(third)
        again, once = await history(running, tenant)
        assert (once["retry_count"], once["is_retry"], once["parent_execution_id"]) == (0, False, None)
        assert (again["retry_count"], again["is_retry"], again["parent_execution_id"]) == (2, True, once["id"])


async def test_what_cannot_be_read_is_kept_for_people(backbone: Backbone) -> None:
    async with serving(backbone) as (running, _):
        letters = await running.bus.jetstream().subscribe("deadletter.mcp_gateway")
        await running.bus.publish("commands.mcp.execute-tool", b'[{"task_id": 7}]')
        letter = await letters.next_msg(timeout=10)
        assert letter.data == b'[{"task_id": 7}]'
        assert letter.headers is not None
        assert "task_id" in letter.headers["agentic-reason"]
        answer = await running.bus.request("commands.mcp.execute-tool", b"nonsense", timeout=10)
        assert json.loads(answer.data)[0]["error"]["code"] == "invalid_input"


async def test_long_tasks_beat_and_are_worked_on_once(backbone: Backbone, tmp_path: Path) -> None:
    tenant = uuid4()
    async with serving(backbone) as (running, engine):
        await with_acting_server(running, tenant)
        waiting = task(tenant, {"server_id": "acting", "tool_name": "wait", "arguments": {"seconds": 2.6}})
        await running.send(waiting)
        assert (await engine.next())["status"] == "running"
        await running.send(waiting)
        beats = 1
        while (result := await engine.next())["status"] == "running":
            beats += 1
        assert result["status"] == "ok"
        assert beats >= 2  # one a second, which a busy machine makes later
        assert await engine.silence(0.3)
        (call,) = await history(running, tenant)
        assert call["status"] == "completed"

        short = {"server_id": "acting", "tool_name": "wait", "arguments": {"seconds": 60}, "timeout_seconds": 0.3}
        (timed_out,) = await running.ask(task(tenant, short))
        acting = append(tmp_path / "acts", "late", seconds=60)
        (open_end,) = await running.ask(task(tenant, acting, seconds=1))
        assert (open_end["error"]["code"], open_end["error"]["retryable"]) == ("tool_timeout", False)
        assert (timed_out["error"]["code"], timed_out["error"]["retryable"]) == ("tool_timeout", True)
        (died,) = await running.ask(task(tenant, {"server_id": "acting", "tool_name": "die"}))
        assert (died["error"]["code"], died["error"]["retryable"]) == ("server_died", True)


async def test_a_tool_that_acts_is_not_called_twice_over_a_kill(backbone: Backbone, tmp_path: Path) -> None:
    tenant = uuid4()
    file = tmp_path / "acts"
    done, cut = task(tenant, append(file, "done")), task(tenant, append(file, "cut", seconds=60))
    async with serving(backbone) as (running, engine):
        await with_acting_server(running, tenant)
        await running.send(done)
        first = await engine.end()
        await running.send(cut)
        while not file.exists() or file.read_text() != "done\ncut\n":
            await asyncio.sleep(0.02)
        (call,) = [call for call in await history(running, tenant) if call["status"] == "running"]
        assert call["tool_input"]["text"] == "cut"
        await running.stop(signal.SIGKILL)
    async with serving(backbone) as (running, engine):
        (again,) = await running.ask(done)
        assert {**again, "duration_ms": 0} == {**first, "duration_ms": 0}, "answered from its events"
        for _ in range(2):
            (interrupted,) = await running.ask(cut)
            assert (interrupted["error"]["code"], interrupted["error"]["retryable"]) == ("tool_interrupted", False)
        assert file.read_text() == "done\ncut\n"
        calls = {call["tool_input"]["text"]: call for call in await history(running, tenant)}
        assert (calls["cut"]["status"], calls["cut"]["error_code"]) == ("failed", "tool_interrupted")
        assert (calls["done"]["status"], calls["done"]["tool_output"]) == ("completed", {"result": "done"})


@asynccontextmanager
async def outage(backbone: Backbone) -> AsyncIterator[None]:
    """Cut every connection of the gateways' workers, and let none of them append."""
    admin = await asyncpg.connect(backbone.admin_dsn)
    cutting = True

    async def cut() -> None:
        while cutting:
            # Else the transaction sees for ever who was there first, and cuts nobody who came later.
            await admin.execute("SELECT pg_stat_clear_snapshot()")
            await admin.fetch(CUT)
            await asyncio.sleep(0.05)

    async with admin.transaction():
        await admin.execute("LOCK TABLE mcp_gateway.events IN EXCLUSIVE MODE")
        cuts = asyncio.create_task(cut())
        try:
            yield
        finally:
            cutting = False
            await cuts
    await admin.close()


async def test_an_outage_after_a_tool_acted_is_waited_out(backbone: Backbone, tmp_path: Path) -> None:
    tenant = uuid4()
    file = tmp_path / "acts"
    async with serving(backbone) as (running, engine):
        await with_acting_server(running, tenant)
        await running.send(task(tenant, append(file, "once", seconds=0.5)))
        while not file.exists():
            await asyncio.sleep(0.02)
        async with outage(backbone):
            await asyncio.sleep(2.5)
        result = await engine.end()
        assert (result["status"], result["output"]) == ("ok", {"result": "once"})
        (call,) = await history(running, tenant)
        assert (call["status"], call["tool_output"]) == ("completed", {"result": "once"})
        assert file.read_text() == "once\n"


async def test_an_outage_before_a_tool_is_called_calls_nothing(backbone: Backbone, tmp_path: Path) -> None:
    tenant = uuid4()
    file = tmp_path / "acts"
    async with serving(backbone) as (running, _):
        await with_acting_server(running, tenant)
        await running.ask(task(tenant, append(tmp_path / "other", "known")))
        async with outage(backbone):
            (refused,) = await running.ask(task(tenant, append(file, "never")))
            assert (refused["error"]["code"], refused["error"]["retryable"]) == ("unavailable", True)
        assert not file.exists()


async def test_a_stopping_gateway_finishes_its_tasks(backbone: Backbone, tmp_path: Path) -> None:
    tenant = uuid4()
    file = tmp_path / "acts"
    async with serving(backbone) as (running, engine):
        await with_acting_server(running, tenant)
        await running.send(task(tenant, append(file, "last", seconds=1.5)))
        while not file.exists():
            await asyncio.sleep(0.02)
        began = time.monotonic()
        assert await running.stop() == 0
        assert time.monotonic() - began < 8
        assert (await engine.end())["status"] == "ok"
    async with serving(backbone) as (running, _):
        (call,) = await history(running, tenant)
        assert call["status"] == "completed"


async def test_calls_become_public_events_and_counters(backbone: Backbone) -> None:
    tenant = uuid4()
    async with serving(backbone) as (running, _):
        facts = await running.bus.subscribe(f"events.{tenant}.>")
        await running.ask(
            task(tenant, ADD), task(tenant, {**ADD, "tool_name": "divide", "arguments": {"a": 1, "b": 0}})
        )
        kinds = {(await facts.next_msg(timeout=10)).subject.removeprefix(f"events.{tenant}.") for _ in range(11)}
        expected = {"server.registered", "tool.approved", "tool-call.completed", "tool-call.failed"}
        assert kinds == {f"mcp_gateway.{kind}" for kind in expected}
        await history(running, tenant)
        async with running.client(tenant) as client:
            server = (await client.get("/servers/calculator")).json()
        counted = [server[f"{kind}_executions"] for kind in ("total", "successful", "failed")]
        assert counted == [2, 1, 1]
