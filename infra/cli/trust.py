"""`agentic mcp pending` and `agentic mcp approve`: tool definitions that wait for a person."""

import asyncio
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import click
import msgspec
from rich.text import Text

from infra.cli import output
from infra.cli.api import Api
from infra.cli.limits import LISTED_AT_ONCE, SHOWN_VALUE_CHARS
from infra.cli.shapes import Approved, DefinitionPage, McpServer, McpServerPage, ToolChange, ToolPin
from infra.cli.target import reach, tenant_option

_SERVERS = "/mcp/servers"


class Waiting(msgspec.Struct, frozen=True):
    """A definition that waits, and the server that lists it."""

    server: McpServer
    tool: ToolPin


@click.command("pending", epilog=output.examples("agentic mcp pending", "agentic mcp pending tickets"))
@click.argument("server", required=False)
@tenant_option
@output.json_option
def pending(server: str | None, *, tenant: str, as_json: bool) -> None:
    """Show the tool definitions that wait for approval, of SERVER or of all.

    SERVER is an id or a slug. With --json there is one to a line. A tool is not offered and cannot be called while its
    definition waits.
    """
    found = asyncio.run(_pending(server, tenant))
    if as_json:
        for waiting in found:
            output.say_json({"server_id": waiting.server.id, "slug": waiting.server.slug, **_plain(waiting.tool)})
        return
    if not found:
        click.echo("No definition waits for approval.")
    for waiting in found:
        for line in _told(waiting):
            output.stdout.print(line, soft_wrap=True)


@click.command(
    "approve",
    epilog=output.examples("agentic mcp approve tickets", "agentic mcp approve tickets create_ticket --yes"),
)
@click.argument("server")
@click.argument("tools", nargs=-1, metavar="TOOLS")
@click.option("-y", "--yes", is_flag=True, help="Do not ask: needed where there is no terminal.")
@tenant_option
@output.json_option
def approve(server: str, tools: tuple[str, ...], *, yes: bool, tenant: str, as_json: bool) -> None:
    """Approve how SERVER describes its tools now: all of them, or TOOLS.

    TOOLS... are names, one after the other. What is approved is what was shown: a definition that changes meanwhile is
    refused.
    """
    asyncio.run(_approve(server, tools, yes=yes, tenant=tenant, as_json=as_json))


async def _pending(server: str | None, tenant: str) -> list[Waiting]:
    async with (await reach(tenant)).api() as api:
        return await _waiting(api, server)


async def _approve(server: str, tools: Sequence[str], *, yes: bool, tenant: str, as_json: bool) -> None:
    async with (await reach(tenant)).api() as api:
        waiting = {each.tool.name: each for each in await _waiting(api, server)}
        unknown = [tool for tool in tools if tool not in waiting]
        if unknown:
            raise click.UsageError(f"No definition of {', '.join(unknown)} waits for approval.")
        chosen = [waiting[name] for name in tools or waiting]
        if not yes:
            for each in chosen:
                for line in _told(each):
                    output.stderr.print(line, soft_wrap=True)
            if chosen:
                click.confirm(f"Approve {len(chosen)} of {server}?", abort=True, err=True)
        wanted = [
            {"name": each.tool.name, "definition_hash": each.tool.pending.definition_hash}
            for each in chosen
            if each.tool.pending is not None
        ]
        done = await api.post(f"{_SERVERS}/{quote(server, safe='')}/approve", Approved, {"tools": wanted})
    if as_json:
        output.say_json(done)
    elif done.tools:
        click.echo("Approved: " + ", ".join(_visible(tool.name) for tool in done.tools))
    else:
        click.echo("No definition waits for approval.")


async def _waiting(api: Api, server: str | None) -> list[Waiting]:
    if server is not None:
        servers = [await api.get(f"{_SERVERS}/{quote(server, safe='')}", McpServer)]
    else:
        servers = await _servers(api)
    return [Waiting(each, tool) for each in servers for tool in await _quarantined(api, each)]


async def _servers(api: Api) -> list[McpServer]:
    servers: list[McpServer] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await api.get(_SERVERS, McpServerPage, limit=LISTED_AT_ONCE, **({"cursor": cursor} if cursor else {}))
        servers += page.servers
        cursor = page.next_cursor
    return servers


async def _quarantined(api: Api, server: McpServer) -> list[ToolPin]:
    found: list[ToolPin] = []
    while True:
        query: dict[str, str | int] = {"status": "quarantined", "limit": LISTED_AT_ONCE, "offset": len(found)}
        page = await api.get(f"{_SERVERS}/{server.id}/definitions", DefinitionPage, **query)
        found += page.definitions
        if not page.definitions or len(found) >= page.total:
            return found


def _told(waiting: Waiting) -> Iterator[Text]:
    """Yield what a person needs to see before approving, without control characters: it comes from the server."""
    tool = waiting.tool
    if tool.pending is None:
        return
    yield Text(f"{waiting.server.slug}  {_visible(tool.name)}  ({tool.pending.reason})", style="bold")
    yield Text(f"  {tool.pending.definition_hash}", style="dim")
    for finding in tool.pending.findings:
        yield Text(f"  ! {finding.rule} in {_visible(finding.where)}: {_visible(finding.excerpt)}", style="yellow")
    if tool.definition_hash is None:
        yield Text(f"  + {_short(tool.pending.definition)}", style="green")
    for change in tool.pending.diff:
        yield Text(f"  {_visible(change.path)}")
        yield from _sides(change)
    yield Text("")


def _sides(change: ToolChange) -> Iterator[Text]:
    if change.lines:
        for line in change.lines:
            style = {"+": "green", "-": "red"}.get(line[:1], "dim")
            yield Text(f"    {_visible(line)}", style=style)
        return
    for sign, value, style in (("-", change.before, "red"), ("+", change.after, "green")):
        if value is not msgspec.UNSET:
            yield Text(f"    {sign} {_short(value)}", style=style)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    shown = _visible(text)
    return shown if len(shown) <= 20 * SHOWN_VALUE_CHARS else f"{shown[: 20 * SHOWN_VALUE_CHARS]}… (--json has it all)"


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _plain(tool: ToolPin) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(tool)
    return plain
