"""`agentic mcp new-server`: what it writes works as it stands, and nothing is overwritten."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.fixtures.mcp_servers.by_http import served

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, env=ENVIRONMENT, check=False
    )


def agentic(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "infra.cli.main", "mcp", "new-server", *arguments)


async def test_the_server_and_its_test_work_as_they_are_written(tmp_path: Path) -> None:
    done = agentic(tmp_path, "weather", "--json")
    assert json.loads(done.stdout) == {"server": "weather.py", "test": "test_weather.py"}
    tested = python(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "test_weather.py")
    assert tested.returncode == 0, tested.stdout
    parameters = StdioServerParameters(command=sys.executable, args=[str(tmp_path / "weather.py")], env=ENVIRONMENT)
    async with Client(stdio_client(parameters)) as sdk:
        answer = await sdk.call_tool("greet", {"name": "Ada"})
        assert answer.structured_content == {"result": "Hello, Ada!"}
    async with served(str(tmp_path / "weather.py"), PYTHONPATH=str(ROOT)) as server, Client(server.url) as sdk:
        answer = await sdk.call_tool("greet", {"name": "Ada"})
        assert answer.structured_content == {"result": "Hello, Ada!"}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_weather.py").write_text("mine")
    done = agentic(tmp_path, "weather")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is there already" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["test_weather.py"]
    assert (tmp_path / "test_weather.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "Weather", "a-b", "../a", "1a", "class", "a" * 64])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    done = agentic(tmp_path, name)
    assert done.returncode == 2
    assert "a name has" in done.stderr
    assert list(tmp_path.iterdir()) == []
