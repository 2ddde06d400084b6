"""`agentic mcp import|export`: configuration files of MCP clients."""

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec

from infra.cli import output
from infra.cli.errors import BadFile
from infra.cli.limits import DEFINITION_MAX_BYTES
from infra.cli.mcp_catalogue import read_values
from infra.cli.mcp_shapes import ExportedConfig, ImportAnswer, ImportedServer
from infra.cli.target import reach, tenant_option

_CLIENTS = ("claude-desktop", "vscode", "cursor")


@click.command(
    "import", epilog=output.examples("agentic mcp import .vscode/mcp.json", "agentic mcp import FILE --apply")
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--apply", is_flag=True, help="Register what is ready; without it nothing is changed.")
@click.option("--set", "inputs", multiple=True, metavar="ID=VALUE", help="What the file asks for. Repeatable.")
@tenant_option
@output.json_option
@click.pass_context
def import_(
    context: click.Context, file: Path, *, apply: bool, inputs: tuple[str, ...], tenant: str, as_json: bool
) -> None:
    """Take over the MCP servers of a client's configuration.

    FILE is that of Claude Desktop, Claude Code, Cursor or VS Code, with or without comments. What would be registered
    is shown, and what is in the way. Credentials are not kept: they become names of secrets, to be set first. Exits
    with 1 if a server is refused.
    """
    body = {"config": _text(file), "apply": apply, "inputs": read_values(inputs)}
    answer = asyncio.run(_import(body, tenant))
    if as_json:
        output.say_json(answer)
    else:
        for server in answer.servers:
            _show(server)
        if not answer.applied and any(server.status == "ready" for server in answer.servers):
            click.echo("Nothing was changed: --apply registers what is ready.", err=True)
    context.exit(1 if any(server.status == "refused" for server in answer.servers) else 0)


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
        if len(raw) > DEFINITION_MAX_BYTES:
            raise BadFile(f"{file} is larger than {DEFINITION_MAX_BYTES:,} bytes.")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise BadFile(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadFile(f"{file} is not UTF-8.") from error


async def _import(body: dict[str, Any], tenant: str) -> ImportAnswer:
    async with (await reach(tenant)).api() as api:
        return await api.post("/mcp/import", ImportAnswer, body)


def _show(server: ImportedServer) -> None:
    click.echo(f"{server.name}: {server.status} as {server.slug or '?'}  {_reached(server.server or {})}".rstrip())
    for fault in server.faults:
        click.echo(f"  in the way: {fault.path + ': ' if fault.path else ''}{fault.message} ({fault.code})")
    for secret in server.secrets:
        click.echo(f"  agentic secrets set {secret.name}    # {secret.path}")
    for note in server.notes:
        click.echo(f"  note: {note}")


def _reached(server: dict[str, Any]) -> str:
    return str(server.get("url") or " ".join([server.get("command") or "", *server.get("args", [])]))


@click.command(
    "export",
    epilog=output.examples(
        "agentic mcp export --client vscode > .vscode/mcp.json",
        "agentic mcp export --client cursor --profile support",
    ),
)
@click.option("--client", required=True, type=click.Choice(_CLIENTS), help="Whose file it is to be.")
@click.option("--profile", help="Name of the profile whose tools it is to have; without, all of the caller's.")
@tenant_option
@output.json_option
def export(*, client: str, profile: str | None, tenant: str, as_json: bool) -> None:
    """Print a configuration by which an MCP client reaches the platform.

    The file alone goes to stdout; where it belongs and what is left to do, to stderr. No key is in it.
    """
    narrowed = {"client": client, **({"profile": profile} if profile is not None else {})}
    exported = asyncio.run(_export(narrowed, tenant))
    if as_json:
        output.say_json(exported)
        return
    click.echo(msgspec.json.format(msgspec.json.encode(exported.config), indent=2))
    for note in (f"This is {exported.file}, for {exported.url}.", *exported.notes):
        click.echo(note, err=True)


async def _export(narrowed: dict[str, str], tenant: str) -> ExportedConfig:
    async with (await reach(tenant)).api() as api:
        return await api.get("/mcp/export", ExportedConfig, **narrowed)


COMMANDS: tuple[click.Command, ...] = (import_, export)
