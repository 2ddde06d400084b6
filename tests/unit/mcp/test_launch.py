"""What a deployment lets be started, and with which environment."""

import datetime as dt
import os
import sys
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from services.mcp_gateway.adapters.launching import Launcher
from services.mcp_gateway.adapters.mcp.launch import (
    CommandAllowList,
    HttpLaunch,
    LaunchSpec,
    SseLaunch,
    StdioLaunch,
    bundled,
    environment,
)
from services.mcp_gateway.domain.server import Server, ServerConfig, ServerDefinition, ServerType
from services.mcp_gateway.domain.server_rules import check_definition
from services.mcp_gateway.errors import CommandNotAllowed, ServerUnavailable
from shared.errors import Unprocessable


def test_an_entry_allows_what_begins_with_it() -> None:
    allowed = CommandAllowList([f"{sys.executable} -m services.mcp_gateway.servers.calculator", "sh -c 'exit 0'"])
    assert allowed.resolve(bundled("calculator"))[0] == sys.executable
    assert allowed.resolve(StdioLaunch("sh", ("-c", "exit 0", "more")))[1:] == ["-c", "exit 0", "more"]
    for refused in (
        bundled("filesystem"),
        StdioLaunch(sys.executable, ("-c", "print(1)")),
        StdioLaunch("sh", ("-c", "exit 1")),
        StdioLaunch("sh"),
        StdioLaunch("/bin/sh", ("-c", "exit 0")),
        StdioLaunch(""),
    ):
        with pytest.raises(CommandNotAllowed):
            allowed.resolve(refused)


def test_an_empty_list_or_entry_allows_nothing() -> None:
    for entries in ([], ["", "  "]):
        with pytest.raises(CommandNotAllowed):
            CommandAllowList(entries).resolve(StdioLaunch("sh"))


def test_commands_are_found_in_the_gateways_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "mytool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    allowed = CommandAllowList(["mytool"])
    with pytest.raises(ServerUnavailable):
        allowed.resolve(StdioLaunch("mytool", env={"PATHX": str(tmp_path)}))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert allowed.resolve(StdioLaunch("mytool")) == [str(tool)]


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "", "A=B", "A B", "1A", "Ä", "X" * 200])
def test_variables_that_are_refused(name: str) -> None:
    with pytest.raises(CommandNotAllowed):
        environment(StdioLaunch("sh", env={name: "x"}), "/tmp")


def test_the_environment_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    made = environment(StdioLaunch("sh", env={"TOKEN": "t", "HOME": "/elsewhere"}), "/home")
    assert made == {
        "LANG": "C.UTF-8",
        "HOME": "/elsewhere",
        "TMPDIR": "/home",
        "TOKEN": "t",
        "PATH": os.environ["PATH"],
    }
    with pytest.raises(CommandNotAllowed):
        environment(StdioLaunch("sh", env={"TOKEN": "a\0b"}), "/home")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"Content-Length": "5"},
        {"transfer-encoding": "chunked"},
        {"Mcp-Session-Id": "x"},
        {"X": "a\r\nY: b"},
        {"X Y": "a"},
        {"": "a"},
    ],
)
def test_headers_that_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        HttpLaunch("https://example.com", headers)


def test_launch_specs_are_data() -> None:
    for spec in (bundled("calculator"), HttpLaunch("https://example.com/mcp", {"Authorization": "Bearer x"})):
        assert msgspec.json.decode(msgspec.json.encode(spec), type=LaunchSpec) == spec
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"transport": "stdio", "command": "x", "shell": true}', type=LaunchSpec)


@pytest.mark.parametrize(("server_type", "kind"), [("streamable_http", HttpLaunch), ("sse", SseLaunch)])
def test_a_server_elsewhere_is_reached_as_its_type_says(server_type: ServerType, kind: type[HttpLaunch]) -> None:
    config = ServerConfig(headers={"X-Key": "k"})
    definition = ServerDefinition("x", "x", server_type, url="https://example.org/mcp", config=config)
    check_definition(definition)
    launcher = Launcher([], frozenset(), Path("/tenants"))
    launcher.check(definition)
    now = dt.datetime.now(dt.UTC)
    launch = launcher.launch_of(Server(uuid4(), uuid4(), definition, "active", 1, 1, now, now))
    assert type(launch) is kind
    assert launch == kind("https://example.org/mcp", {"X-Key": "k"})
    assert msgspec.json.decode(msgspec.json.encode(launch), type=LaunchSpec) == launch
    with pytest.raises(Unprocessable):
        launcher.check(msgspec.structs.replace(definition, config=ServerConfig(headers={"Host": "x"})))
