"""`agentic mcp`: MCP servers, and what is approved of them."""

import keyword
import re
from pathlib import Path

import click

from infra.cli import output
from infra.cli.trust import approve, pending

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

_SERVER = '''"""The MCP server `{name}`: `python {name}.py` serves it on stdin and stdout, `--help` says how by HTTP."""

from typing import Annotated

from msgspec import Meta

from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.serving import serve
from services.mcp_gateway.servers.tools import ToolHints, ToolRefused

server = ToolServer("{name}", version="0.1.0", instructions="Greets people.")


@server.tool(hints=ToolHints(read_only_hint=True))
def greet(name: Annotated[str, Meta(max_length=200, description="Whom to greet.")]) -> str:
    """Greet somebody by name."""
    if not name.strip():
        raise ToolRefused("name_empty", "Give a name to greet.")
    return f"Hello, {{name.strip()}}!"


if __name__ == "__main__":
    serve(server)
'''

_TEST = '''"""`{name}` as a client sees it: `python -m pytest test_{name}.py`."""

import json
import subprocess
import sys
from pathlib import Path

SERVER = Path(__file__).with_name("{name}.py")
INITIALIZE = {{
    "protocolVersion": "2025-11-25",
    "capabilities": {{}},
    "clientInfo": {{"name": "test", "version": "1"}},
}}


def ask(*requests: tuple[str, dict[str, object]]) -> list[dict[str, object]]:
    """Start the server, ask it all of this, and return its results in the order of the requests."""
    messages = [
        {{"jsonrpc": "2.0", "id": number, "method": method, "params": params}}
        for number, (method, params) in enumerate([("initialize", INITIALIZE), *requests])
    ]
    text = "".join(json.dumps(message) + "\\n" for message in messages)
    done = subprocess.run(
        [sys.executable, str(SERVER)], input=text, capture_output=True, text=True, timeout=30, check=True
    )
    answers = sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda answer: answer["id"])
    return [answer["result"] for answer in answers[1:]]


def test_it_offers_its_tools() -> None:
    (listed,) = ask(("tools/list", {{}}))
    assert [tool["name"] for tool in listed["tools"]] == ["greet"]


def test_it_greets() -> None:
    (answer,) = ask(("tools/call", {{"name": "greet", "arguments": {{"name": "Ada"}}}}))
    assert answer["content"] == [{{"type": "text", "text": "Hello, Ada!"}}]


def test_it_refuses_what_it_cannot_use() -> None:
    no_name, no_text = ask(
        ("tools/call", {{"name": "greet", "arguments": {{"name": " "}}}}),
        ("tools/call", {{"name": "greet", "arguments": {{"name": 1}}}}),
    )
    assert no_name["structuredContent"] == {{"error": {{"code": "name_empty", "message": "Give a name to greet."}}}}
    assert no_text["isError"]
'''


@click.group()
def mcp() -> None:
    """Write MCP servers, and approve what they offer."""


mcp.add_command(pending)
mcp.add_command(approve)


@mcp.command(
    "new-server", epilog=output.examples("agentic mcp new-server weather", "agentic mcp new-server x -d tools")
)
@click.argument("name")
@click.option(
    "-d", "--directory", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where to write it."
)
@output.json_option
def new_server(name: str, *, directory: Path, as_json: bool) -> None:
    """Write an MCP server NAME with one tool, and its test. Nothing that is there is overwritten."""
    if _NAME.fullmatch(name) is None or keyword.iskeyword(name):
        raise click.BadParameter("a name has a-z, 0-9 and _, and begins with a letter.", param_hint="NAME")
    server, test = directory / f"{name}.py", directory / f"test_{name}.py"
    directory.mkdir(parents=True, exist_ok=True)
    for path in (server, test):
        if path.exists():
            raise click.UsageError(f"{path} is there already. Choose another name, or another --directory.")
    for path, text in ((server, _SERVER), (test, _TEST)):
        with path.open("x") as file:
            file.write(text.format(name=name))
    if as_json:
        output.say_json({"server": str(server), "test": str(test)})
        return
    click.echo(f"{server} and {test} are written. Now:")
    click.echo(f"  python -m pytest {test}")
    click.echo(f"  python {server}    # serves on stdin and stdout")
    click.echo(f"  python {server} --http 127.0.0.1:8900    # serves by HTTP, at http://127.0.0.1:8900/mcp")
