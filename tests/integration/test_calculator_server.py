"""The calculator as a process of its own, used by the official SDK's client and by hand."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "services.mcp_gateway.servers.calculator"]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


def client(mode: Literal["legacy", "auto", "2026-07-28"]) -> Client:
    parameters = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], cwd=ROOT)
    return Client(stdio_client(parameters), mode=mode)


def converse(*messages: dict[str, Any] | str, stdin_file: Path | None = None) -> list[dict[str, Any]]:
    """Send all messages at once, end stdin, and return every line that came back."""
    text = "".join((message if isinstance(message, str) else json.dumps(message)) + "\n" for message in messages)
    if stdin_file is None:
        done = subprocess.run(COMMAND, input=text, capture_output=True, text=True, cwd=ROOT, timeout=20, check=True)
    else:
        stdin_file.write_text(text)
        with stdin_file.open() as source:
            done = subprocess.run(
                COMMAND, stdin=source, capture_output=True, text=True, cwd=ROOT, timeout=20, check=True
            )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def call(request_id: int, name: str, **arguments: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }


@pytest.mark.parametrize(("mode", "revision"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_the_official_client_uses_it(mode: Literal["legacy", "auto"], revision: str) -> None:
    async with client(mode) as sdk:
        assert sdk.protocol_version == revision
        assert sdk.server_info.name == "calculator"
        tools = (await sdk.list_tools()).tools
        assert [tool.name for tool in tools] == ["add", "subtract", "multiply", "divide", "power"]
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        assert all(tool.annotations is not None and tool.annotations.idempotent_hint for tool in tools)
        # The SDK holds each result against the declared output schema by itself.
        answer = await sdk.call_tool("power", {"base": 2, "exponent": 100})
        assert answer.structured_content == {"result": 2**100, "decimal": str(2**100)}
        refused = await sdk.call_tool("divide", {"a": 1, "b": 0})
        assert refused.is_error
        assert refused.structured_content == {
            "error": {"code": "division_by_zero", "message": "Division by zero has no result."}
        }
        with pytest.raises(MCPError, match="Unknown tool"):
            await sdk.call_tool("evaluate", {"expression": "1+1"})


def test_it_starts_quickly() -> None:
    """Import, answer and exit of a fresh process: 80 ms alone on an idle machine, of which Python itself is 15."""
    took = []
    for _ in range(5):
        started = time.perf_counter()
        assert converse(INITIALIZE)[0]["result"]["protocolVersion"] == "2025-11-25"
        took.append(time.perf_counter() - started)
    assert min(took) < 0.4  # the machine may be busy; the figure itself stands in the decision record


def test_the_sdk_is_not_imported() -> None:
    script = "import sys, services.mcp_gateway.servers.calculator as c; print({'mcp', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "set()"


def test_a_session_by_hand() -> None:
    replies = converse(
        INITIALIZE,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        "no JSON",
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 2, "method": "resources/list"},
        call(3, "power", base=9, exponent=9**9),
        call(4, "add", a=1, b=2),
        "",
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}},
    )
    assert replies[1] == {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}}
    assert replies[2] == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert replies[3]["error"]["code"] == -32601
    assert replies[4]["result"]["structuredContent"]["error"]["code"] == "number_too_large"
    assert replies[5]["result"]["structuredContent"] == {"result": 3}
    assert len(replies) == 6


def test_files_as_stdin_and_stdout(tmp_path: Path) -> None:
    replies = converse(INITIALIZE, call(1, "add", a=1, b=2), stdin_file=tmp_path / "calls.jsonl")
    assert replies[1]["result"]["structuredContent"] == {"result": 3}
    target = tmp_path / "answers.jsonl"
    with target.open("wb") as sink:
        subprocess.run(COMMAND, input=json.dumps(INITIALIZE).encode(), stdout=sink, cwd=ROOT, timeout=20, check=True)
    assert json.loads(target.read_text())["id"] == 0


def test_a_line_above_the_bound_is_refused_and_skipped() -> None:
    replies = converse(INITIALIZE, '"' + "x" * 17_000_000 + '"', call(1, "add", a=1, b=2))
    assert replies[1]["error"] == {"code": -32600, "message": "A message has at most 16777216 bytes"}
    assert replies[2]["result"]["structuredContent"] == {"result": 3}


def test_a_client_that_does_not_read_does_not_make_it_grow() -> None:
    """Requests are left in the pipe while nobody takes the answers."""
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
    process.stdin.flush()
    os.set_blocking(process.stdin.fileno(), False)
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode() + b"\n"
    sent = 0
    stalled_since = time.monotonic()
    while time.monotonic() - stalled_since < 0.5:
        try:
            sent += os.write(process.stdin.fileno(), line * 100)
            stalled_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
        assert sent < 20_000_000, "it keeps reading although nobody reads what it writes"
    process.kill()
    process.communicate()
