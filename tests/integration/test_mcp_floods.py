"""Servers that flood, babble and do not listen: what they cost the gateway, and how soon they are ended."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from services.mcp_gateway.adapters.mcp.process import LineProcess
from services.mcp_gateway.errors import ProtocolViolation, ServerDied
from tests.fixtures.mcp_servers.faulty import faulty, processes_with, session_with


@pytest.mark.parametrize(
    ("mode", "error", "said"),
    [
        ("floods", ProtocolViolation, "above the limit"),
        ("garbage", ProtocolViolation, "no JSON-RPC message"),
        ("wrong_id", ProtocolViolation, "never sent"),
        ("neither", ProtocolViolation, "neither result nor error"),
        ("chatters", ProtocolViolation, "messages in a second"),
        ("sends_blank_lines", ProtocolViolation, "messages in a second"),
        ("asks_and_is_deaf", ProtocolViolation, "does not read"),
        ("closes_stdout", ServerDied, "ended"),
    ],
)
async def test_what_ends_a_session_at_once(mode: str, error: type[Exception], said: str, tmp_path: Path) -> None:
    async with session_with(faulty(mode, str(tmp_path))) as session:
        started = time.monotonic()
        with pytest.raises(error, match=said):
            await session.call_tool("x", {}, timeout=60)
        assert time.monotonic() - started < 20
        assert not session.alive
    assert processes_with(str(tmp_path)) == []


@pytest.mark.parametrize("mode", ["floods", "asks_and_is_deaf"])
async def test_a_flood_is_not_kept_in_memory(mode: str) -> None:
    own = psutil.Process()
    async with session_with(faulty(mode)) as session:
        before = own.memory_info().rss
        with pytest.raises(ProtocolViolation):
            await session.call_tool("x", {}, timeout=60)
        assert own.memory_info().rss - before < 40_000_000


async def test_answers_without_end_end_the_session() -> None:
    async with session_with(faulty("answers_without_end")) as session:
        assert (await session.call_tool("x", {}, timeout=20)).content[0]["text"] == "done"
        async with asyncio.timeout(20):
            while session.alive:
                await asyncio.sleep(0.01)


async def test_a_flood_of_short_lines_is_cut_in_no_time() -> None:
    lines = 0

    def count(_: bytes) -> None:
        nonlocal lines
        lines += 1

    process = LineProcess("x", on_line=count, on_flood=lambda: None, on_end=lambda _: None)
    began = time.perf_counter()
    for _ in range(4):
        process.pipe_data_received(1, b"\n" * 262_144)
    assert lines == 4 * 262_144
    assert time.perf_counter() - began < 2


async def test_lines_may_be_cut_anywhere() -> None:
    seen: list[bytes] = []
    process = LineProcess("x", on_line=seen.append, on_flood=lambda: None, on_end=lambda _: None)
    for part in (b"a", b"b\n", b"", b"c", b"d", b"\n\ne\nf", b"\n"):
        process.pipe_data_received(1, part)
    assert seen == [b"ab", b"cd", b"", b"e", b"f"]
