"""The filesystem server as a process of its own, used by the official SDK's client."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "services.mcp_gateway.servers.filesystem"]


def client(folder: Path, mode: Literal["legacy", "auto"]) -> Client:
    parameters = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "--root", str(folder)], cwd=ROOT)
    return Client(stdio_client(parameters), mode=mode)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_uses_it(tmp_path: Path, mode: Literal["legacy", "auto"]) -> None:
    async with client(tmp_path, mode) as sdk:
        # The SDK holds each result against the declared output schema by itself.
        assert len((await sdk.list_tools()).tools) == 7
        await sdk.call_tool("create_directory", {"path": "notes"})
        written = await sdk.call_tool("write_file", {"path": "notes/a.txt", "content": "hello"})
        assert written.structured_content == {"size": 5, "created": True}
        read = await sdk.call_tool("read_file", {"path": "notes/a.txt"})
        assert [block.text for block in read.content] == ["hello"]
        listed = await sdk.call_tool("list_directory", {"path": "notes"})
        assert listed.structured_content is not None
        assert [entry["name"] for entry in listed.structured_content["entries"]] == ["a.txt"]
        found = await sdk.call_tool("search_files", {"pattern": "*.txt", "text": "ell"})
        assert found.structured_content == {
            "matches": [{"path": "notes/a.txt", "type": "file", "lines": [{"number": 1, "text": "hello"}]}],
            "stopped_by": None,
            "skipped": 0,
        }
        info = await sdk.call_tool("get_file_info", {"path": "notes/a.txt"})
        assert info.structured_content is not None
        assert info.structured_content["size"] == 5
        await sdk.call_tool("delete_file", {"path": "notes/a.txt"})
        refused = await sdk.call_tool("read_file", {"path": "notes/a.txt"})
        assert refused.is_error
        assert refused.structured_content == {
            "error": {"code": "not_found", "message": "There is no such file or folder."}
        }
    assert list((tmp_path / "notes").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "--root"),
        ([], 2, "FILESYSTEM_ROOT"),
        (["--root", "/nothing/there"], 1, "No such file or directory"),
        (["--root", __file__], 1, "Not a directory"),
    ],
)
def test_the_command_line_says_what_is_wrong(arguments: list[str], status: int, said: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "FILESYSTEM_ROOT"}
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=20, check=False, env=environment
    )
    assert done.returncode == status
    assert said in done.stdout + done.stderr
