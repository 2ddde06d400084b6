"""Sessions with real server processes: our own, those of the official SDK, and those that misbehave."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import uvloop

from services.mcp_gateway.adapters.mcp.launch import CommandAllowList, ProcessLimits, StdioLaunch, bundled
from services.mcp_gateway.adapters.mcp.stdio import StdioSession
from services.mcp_gateway.app.relay import Era
from services.mcp_gateway.errors import (
    ArgumentsInvalid,
    CommandNotAllowed,
    ProtocolViolation,
    ResultTooLarge,
    ServerDied,
    ServerUnavailable,
    ToolError,
    ToolNotFound,
    ToolTimeout,
)
from tests.fixtures.mcp_servers.faulty import ALLOWED, SERVERS, faulty, processes_with, session_with

ROOT = Path(__file__).resolve().parents[2]
CALCULATOR = bundled("calculator", env={"PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize(("era", "revision"), [(None, "2025-11-25"), ("modern", "2026-07-28")])
async def test_our_calculator(era: Era | None, revision: str) -> None:
    async with session_with(CALCULATOR, era) as session:
        assert session.alive
        assert session.protocol_version == revision
        assert (session.server_info.name, session.server_info.version) == ("calculator", "1.0.0")
        tools = await session.list_tools()
        assert [tool.name for tool in tools] == ["add", "subtract", "multiply", "divide", "power"]
        result = await session.call_tool("divide", {"a": 1, "b": 4}, timeout=5)
        assert result.structured == {"result": 0.25}
        assert result.content == [{"type": "text", "text": "0.25"}]
        assert not result.is_error
        assert 0 < result.duration_ms < 5_000
        refused = await session.call_tool("divide", {"a": 1, "b": 0}, timeout=5)
        assert refused.is_error
        with pytest.raises(ToolNotFound):
            await session.call_tool("evaluate", {}, timeout=5)
        await session.ping(5)
    assert not session.alive
    with pytest.raises(ServerUnavailable):
        await session.call_tool("add", {"a": 1, "b": 2}, timeout=5)


@pytest.mark.parametrize(("era", "revision"), [(None, "2025-11-25"), ("modern", "2026-07-28")])
async def test_a_server_of_the_official_sdk(era: Era | None, revision: str) -> None:
    launch = StdioLaunch(sys.executable, (str(SERVERS / "sdk_server.py"), "stdio"))
    async with session_with(launch, era) as session:
        assert session.protocol_version == revision
        assert session.server_info.name == "sdk-server"
        assert "add" in [tool.name for tool in await session.list_tools()]
        assert (await session.call_tool("add", {"a": 1, "b": 2}, timeout=5)).structured == {"result": 3.0}
        assert (await session.call_tool("fail", {}, timeout=5)).is_error
        with pytest.raises(ToolTimeout):
            await session.call_tool("slow", {"seconds": 60}, timeout=0.2)
        await session.ping(5)


async def test_a_hundred_calls_at_once_each_get_their_own_answer() -> None:
    async with session_with(CALCULATOR) as session:
        results = await asyncio.gather(
            *(session.call_tool("multiply", {"a": number, "b": 1_000}, timeout=10) for number in range(100))
        )
    assert [result.structured for result in results] == [{"result": number * 1_000} for number in range(100)]


async def test_large_integers_pass_unharmed() -> None:
    async with session_with(CALCULATOR) as session:
        result = await session.call_tool("power", {"base": 7, "exponent": 3_000}, timeout=5)
        assert result.structured is not None
        assert result.structured["result"] == 7**3_000


async def test_a_death_fails_every_call_and_the_session() -> None:
    ours = f"marked-{uuid4()}"  # others that never answer may be running
    async with session_with(faulty("never_answers", ours)) as session:
        calls = [asyncio.create_task(session.call_tool("x", {}, timeout=30)) for _ in range(5)]
        await asyncio.sleep(0)
        (server,) = processes_with(ours)[-1:]
        server.kill()
        for call in calls:
            with pytest.raises(ServerDied):
                await call
        assert not session.alive


async def test_dying_in_a_call() -> None:
    async with session_with(faulty("dies_mid_call")) as session:
        with pytest.raises(ServerDied) as died:
            await session.call_tool("x", {}, timeout=30)
        assert died.value.details == {"exit_status": 7}


async def test_no_answer_is_a_timeout_that_is_told_to_the_server() -> None:
    async with session_with(faulty("waits_for_cancel")) as session:
        started = time.monotonic()
        with pytest.raises(ToolTimeout):
            await session.call_tool("x", {}, timeout=0.2)
        assert 0.15 < time.monotonic() - started < 5
        result = await session.call_tool("x", {}, timeout=10)
        told = json.loads(result.content[0]["text"])
        assert told["notice"]["method"] == "notifications/cancelled"
        assert told["notice"]["params"] == {"requestId": told["first"], "reason": "timed out"}
        assert len(await session.list_tools()) == 3, "the late answer to the first call does no harm"


async def test_a_cancelled_caller_is_told_to_the_server() -> None:
    async with session_with(faulty("waits_for_cancel")) as session:
        call = asyncio.create_task(session.call_tool("x", {}, timeout=60))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        told = json.loads((await session.call_tool("x", {}, timeout=10)).content[0]["text"])
        assert told["notice"]["params"]["reason"] == "cancelled by the caller"


async def test_the_second_of_two_answers_is_dropped() -> None:
    async with session_with(faulty("answers_twice")) as session:
        for _ in range(3):
            assert (await session.call_tool("x", {}, timeout=10)).content[0]["text"] == "first"
        assert len(await session.list_tools()) == 3


async def test_a_huge_result_fails_its_call_only() -> None:
    async with session_with(faulty("huge_result")) as session:
        with pytest.raises(ResultTooLarge):
            await session.call_tool("x", {}, timeout=20)
        assert (await session.call_tool("x", {"huge": False}, timeout=20)).content[0]["text"] == "small"


async def test_requests_of_the_server_are_refused_politely() -> None:
    async with session_with(faulty("asks_back")) as session:
        refusal, pong = json.loads((await session.call_tool("x", {}, timeout=10)).content[0]["text"])
        assert (refusal["id"], refusal["error"]["code"]) == ("s1", -32601)
        assert (pong["id"], pong["result"]) == ("p1", {})


async def test_progress_that_nobody_asked_for_does_no_harm() -> None:
    async with session_with(faulty("reports_progress")) as session:
        assert (await session.call_tool("x", {}, timeout=10)).content[0]["text"] == "done"


async def test_tool_lists_are_read_page_by_page_and_bounded() -> None:
    async with session_with(faulty("plain")) as session:
        assert [tool.name for tool in await session.list_tools()] == ["tool0", "tool1", "tool2"]
    async with session_with(faulty("endless_list")) as session:
        with pytest.raises(ProtocolViolation, match="pages"):
            await session.list_tools()


@pytest.mark.parametrize(
    ("name", "listed", "error"), [("tool1", True, ArgumentsInvalid), ("x", True, ToolNotFound), ("x", False, ToolError)]
)
async def test_what_an_error_reply_means(name: str, *, listed: bool, error: type[Exception]) -> None:
    """One code stands for an unknown tool and for bad arguments; the list of tools tells them apart."""
    code = -32602 if listed else -32000
    async with session_with(faulty("refuses", env={"CODE": str(code)})) as session:
        if listed:
            await session.list_tools()
        with pytest.raises(error) as refused:
            await session.call_tool(name, {}, timeout=10)
        told = {"tool": name, "rpc_code": code, "rpc_message": "no"}
        assert refused.value.details == told  # type: ignore[attr-defined]


async def test_stderr_is_logged_in_bounds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    began = time.monotonic()
    async with session_with(faulty("noisy_stderr")) as session:
        await session.call_tool("x", {}, timeout=60)
    lines = [record.getMessage() for record in caplog.records if ": line " in record.getMessage()]
    assert 0 < len(lines) <= 20 * (time.monotonic() - began + 2)
    assert all(len(line) <= 4_096 + 200 for line in lines)


async def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="ended before it was ready") as failed:
        await StdioSession.start(faulty("exits_at_once", str(tmp_path)), allowed=ALLOWED)
    assert failed.value.details == {"exit_status": 3}


async def test_a_slow_start_is_waited_for() -> None:
    async with session_with(faulty("slow_start")) as session:
        assert (await session.call_tool("x", {}, timeout=10)).content[0]["text"] == "done"


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    starting = asyncio.create_task(StdioSession.start(faulty("silent_start", str(tmp_path)), allowed=ALLOWED))
    async with asyncio.timeout(10):
        while not processes_with(str(tmp_path)):
            await asyncio.sleep(0.02)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes_with(str(tmp_path)) == []


@pytest.mark.parametrize("mode", ["plain", "ignores_sigterm", "forks", "forks_away"])
async def test_closing_leaves_no_process(mode: str, tmp_path: Path) -> None:
    marker = str(tmp_path)
    session = await StdioSession.start(faulty(mode, marker), allowed=ALLOWED)
    assert len(processes_with(marker)) == (3 if mode.startswith("forks") else 2)
    started = time.monotonic()
    await session.close()
    assert time.monotonic() - started < 6
    assert processes_with(marker) == []


@pytest.mark.parametrize("victim", ["server", "warden"])
@pytest.mark.parametrize("mode", ["plain", "forks", "forks_away"])
async def test_a_kill_leaves_no_process(mode: str, victim: str, tmp_path: Path) -> None:
    """Also when the warden itself is killed, except for a child that had left its process group."""
    marker = str(tmp_path)
    session = await StdioSession.start(faulty(mode, marker), allowed=ALLOWED)
    warden = psutil.Process(session._process._transport.get_pid())  # type: ignore[union-attr]
    (server,) = warden.children()
    (warden if victim == "warden" else server).kill()
    async with asyncio.timeout(10):
        while session.alive:
            await asyncio.sleep(0.01)
    await session.close()
    left = processes_with(marker)
    for process in left:
        process.kill()
    assert len(left) == (1 if (victim, mode) == ("warden", "forks_away") else 0)


async def test_nothing_outlives_a_gateway_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from services.mcp_gateway.adapters.mcp.launch import CommandAllowList, StdioLaunch
from services.mcp_gateway.adapters.mcp.stdio import StdioSession

async def main():
    launch = StdioLaunch(sys.executable, ({str(SERVERS / "fault_server.py")!r}, "forks_away", {str(tmp_path)!r}))
    session = await StdioSession.start(launch, allowed=CommandAllowList([sys.executable]))
    print(session._directory, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert gateway.stdout is not None
    scratch = Path((await gateway.stdout.readline()).decode().strip())
    assert scratch.is_dir()
    own = [process for process in processes_with(str(tmp_path)) if process.pid != gateway.pid]
    assert len(own) == 3
    gateway.kill()
    await gateway.communicate()
    _, alive = await asyncio.to_thread(psutil.wait_procs, own, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert not scratch.exists()


async def test_the_server_sees_only_what_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTIC_POSTGRES_DSN", "postgres://secret")
    launch = faulty("tells_environment", env={"TOKEN": "abc"}, limits=ProcessLimits(open_files=64, cpu_seconds=100))
    async with session_with(launch) as session:
        told = json.loads((await session.call_tool("x", {}, timeout=10)).content[0]["text"])
    assert set(told["env"]) - {"LC_CTYPE"} == {"PATH", "HOME", "TMPDIR", "LANG", "TOKEN"}
    assert told["env"]["TOKEN"] == "abc"
    assert told["cwd"] == told["env"]["HOME"]
    assert told["files"] == []
    assert not Path(told["cwd"]).exists()
    assert told["limits"]["Max open files"] == "64"
    assert told["limits"]["Max cpu time"] == "100"
    assert told["limits"]["Max core file size"] == "0"
    assert told["no_new_privs"] == "1"
    assert set(told["descriptors"]) <= {0, 1, 2, 3}


async def test_what_may_not_be_started() -> None:
    with pytest.raises(CommandNotAllowed):
        await StdioSession.start(StdioLaunch("/bin/sh", ("-c", "true")), allowed=ALLOWED)
    with pytest.raises(CommandNotAllowed, match="LD_PRELOAD"):
        await StdioSession.start(faulty("plain", env={"LD_PRELOAD": "/tmp/x.so"}), allowed=ALLOWED)
    with pytest.raises(ServerUnavailable, match="not installed"):
        await StdioSession.start(StdioLaunch("no-such-command"), allowed=CommandAllowList(["no-such-command"]))


@pytest.mark.parametrize("mode", ["never_answers", "floods", "dies_mid_call"])
def test_the_same_on_uvloop(mode: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session_with(CALCULATOR) as session:
            results = await asyncio.gather(
                *(session.call_tool("add", {"a": number, "b": 1}, timeout=10) for number in range(100))
            )
            assert [result.structured for result in results] == [{"result": number + 1} for number in range(100)]
        async with session_with(faulty(mode, str(tmp_path))) as session:
            with pytest.raises((ToolTimeout, ProtocolViolation, ServerDied)):
                await session.call_tool("x", {}, timeout=1)

    loop_factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())
    assert processes_with(str(tmp_path)) == []


async def test_a_stopped_server_is_killed_in_time(tmp_path: Path) -> None:
    session = await StdioSession.start(faulty("plain", str(tmp_path)), allowed=ALLOWED)
    for process in processes_with(str(tmp_path)):
        if "warden.py" not in " ".join(process.cmdline()):
            os.kill(process.pid, signal.SIGSTOP)
    await session.close()
    assert processes_with(str(tmp_path)) == []
