"""`agentic mcp servers|remove|call`: the servers of a tenant and their tools."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import click
import msgspec

from infra.cli import output
from infra.cli.api import Api
from infra.cli.limits import LISTED_AT_ONCE
from infra.cli.mcp_shapes import McpServer, McpServerPage, ToolCall
from infra.cli.target import reach, tenant_option
from infra.cli.workflows import read_input

_SERVERS = "/mcp/servers"


@click.command("servers", epilog=output.examples("agentic mcp servers", "agentic mcp servers --json"))
@tenant_option
@output.json_option
def servers(*, tenant: str, as_json: bool) -> None:
    """List the tenant's MCP servers, with how they were last seen (with --json one to a line).

    TOOLS is what a server offered when it was last asked; none before that.
    """
    found = asyncio.run(_list(tenant))
    if as_json:
        for server in found:
            output.say_json(server)
        return
    output.table(
        ("SLUG", "TYPE", "STATUS", "HEALTH", "TOOLS", "CALLS", "FAILED", "NAME", "FROM"),
        (
            (
                server.slug,
                server.server_type,
                output.coloured(server.status),
                server.health_status,
                str(len(server.tools)),
                f"{server.total_executions:,}",
                f"{server.failed_executions:,}",
                output.escaped(server.name),
                output.escaped(server.installed_from or server.category),
            )
            for server in found
        ),
    )


async def _list(tenant: str) -> list[McpServer]:
    async with (await reach(tenant)).api() as api:
        return [server async for server in _every(api)]


async def _every(api: Api) -> AsyncIterator[McpServer]:
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = await api.get(_SERVERS, McpServerPage, limit=LISTED_AT_ONCE, **more)
        for server in page.servers:
            yield server
        cursor = page.next_cursor


@click.command("remove", epilog=output.examples("agentic mcp remove time"))
@click.argument("server", metavar="SERVER")
@tenant_option
@output.json_option
def remove(server: str, *, tenant: str, as_json: bool) -> None:
    """Take an MCP server out. The history of its calls stays.

    SERVER is its slug or its id.
    """
    asyncio.run(_remove(server, tenant))
    if as_json:
        output.say_json({"removed": server})
    else:
        click.echo(f"{server} is removed.")


async def _remove(server: str, tenant: str) -> None:
    async with (await reach(tenant)).api() as api:
        await api.delete(f"{_SERVERS}/{quote(server, safe='')}")


@click.command(
    "call",
    epilog=output.examples(
        """agentic mcp call calculator add '{"a": 1, "b": 2}'""", "agentic mcp call filesystem read_file @input.json"
    ),
)
@click.argument("server", metavar="SERVER")
@click.argument("tool", metavar="TOOL")
@click.argument("arguments", metavar="JSON|@FILE", default="{}")
@click.option("--timeout", type=click.FloatRange(0.1), metavar="SECONDS", help="How long the tool may take.")
@tenant_option
@output.json_option
@click.pass_context
def call(
    context: click.Context,
    server: str,
    tool: str,
    arguments: str,
    *,
    timeout: float | None,
    tenant: str,
    as_json: bool,
) -> None:
    """Call a tool and print what it gives. Exits with 1 if the tool says that it failed.

    SERVER is a slug or an id, TOOL the tool's name. JSON is the object of its arguments, @FILE a file with it.
    """
    body: dict[str, Any] = {"server_id": server, "tool_name": tool, "tool_input": read_input(arguments)}
    if timeout is not None:
        body["timeout_seconds"] = timeout
    ended = asyncio.run(_call(body, tenant))
    if as_json:
        output.say_json(ended)
    elif ended.status == "completed":
        click.echo(msgspec.json.format(msgspec.json.encode(ended.tool_output), indent=2))
    else:
        click.echo(f"Error: {ended.error_message} ({ended.error_code})", err=True)
    context.exit(0 if ended.status == "completed" else 1)


async def _call(body: dict[str, Any], tenant: str) -> ToolCall:
    async with (await reach(tenant)).api() as api:
        return await api.post("/mcp/execute", ToolCall, body)


COMMANDS: tuple[click.Command, ...] = (servers, remove, call)
