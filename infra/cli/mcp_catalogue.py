"""`agentic mcp search|install`: the catalogue of servers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

import click

from infra.cli import output
from infra.cli.api import Api
from infra.cli.errors import BadInput
from infra.cli.limits import LISTED_AT_ONCE
from infra.cli.mcp_shapes import CatalogueDetail, CatalogueEntry, CataloguePage, McpServer
from infra.cli.target import reach, tenant_option

_REGISTRY = "/mcp/registry"


@click.command("search", epilog=output.examples("agentic mcp search", "agentic mcp search time --type pypi"))
@click.argument("words", metavar="WORDS", nargs=-1)
@click.option("--type", "kind", metavar="TYPE", help="Only npm, pypi, …, streamable-http or sse.")
@tenant_option
@output.json_option
def search(words: tuple[str, ...], *, kind: str | None, tenant: str, as_json: bool) -> None:
    """Search the catalogue of MCP servers (with --json one to a line).

    All WORDS have to be in the name, title or description; without any, the whole catalogue is listed. ORIGIN is
    bundled (it runs here), listed (public, and not run here) or own (added by the tenant).
    """
    found = asyncio.run(_search(" ".join(words), kind, tenant))
    if as_json:
        for entry in found:
            output.say_json(entry)
        return
    output.table(
        ("SLUG", "VERSION", "TYPES", "ORIGIN", "DESCRIPTION"),
        (
            (
                entry.slug,
                output.escaped(entry.version),
                output.escaped(", ".join(entry.kinds)),
                entry.origin,
                output.escaped(entry.description),
            )
            for entry in found
        ),
    )


async def _search(text: str, kind: str | None, tenant: str) -> list[CatalogueEntry]:
    narrowed = {name: value for name, value in (("q", text), ("type", kind)) if value}
    async with (await reach(tenant)).api() as api:
        return [entry async for entry in _every(api, narrowed)]


async def _every(api: Api, narrowed: dict[str, str]) -> AsyncIterator[CatalogueEntry]:
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = await api.get(_REGISTRY, CataloguePage, limit=LISTED_AT_ONCE, **narrowed, **more)
        for entry in page.entries:
            yield entry
        cursor = page.next_cursor


@click.command(
    "install",
    epilog=output.examples(
        "agentic mcp install io.github.modelcontextprotocol/server-time --ways",
        "agentic mcp install io.github.modelcontextprotocol/server-time --set local-timezone=Europe/Zurich",
        "agentic mcp install io.github.upstash/context7 --remote 0 --set 'CONTEXT7_API_KEY={secret.context7}'",
    ),
)
@click.argument("entry", metavar="ENTRY")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="A value that it asks for. Repeatable.")
@click.option("--package", type=click.IntRange(0), help="Which of its packages, from 0.")
@click.option("--remote", type=click.IntRange(0), help="Which of its remotes, from 0.")
@click.option("--slug", help="The server's slug; else its name gives it.")
@click.option("--ways", is_flag=True, help="Print the ways to install it and what each asks for; install nothing.")
@tenant_option
@output.json_option
def install(
    entry: str,
    *,
    values: tuple[str, ...],
    package: int | None,
    remote: int | None,
    slug: str | None,
    ways: bool,
    tenant: str,
    as_json: bool,
) -> None:
    """Register an MCP server made from an entry of the catalogue.

    ENTRY is its name or its slug. A secret is given as {secret.NAME}, never itself. Nothing is started before the
    server is first needed; `agentic mcp remove` undoes it.
    """
    path = f"{_REGISTRY}/{quote(entry.lower().replace('/', '~'), safe='~')}"
    if ways:
        _show(asyncio.run(_read(path, tenant)), as_json=as_json)
        return
    named = {"package": package, "remote": remote, "slug": slug}
    body: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    server = asyncio.run(_install(path, {**body, "values": read_values(values)}, tenant))
    if as_json:
        output.say_json(server)
    else:
        click.echo(f"{server.slug} is registered ({server.id}), from {server.installed_from}.")


def read_values(pairs: Sequence[str]) -> dict[str, str | list[str]]:
    """Return what `NAME=VALUE` give; a name that stands several times has a list."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise BadInput(f"{name or 'A value'} has no =: say --set NAME=VALUE.")
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


async def _read(path: str, tenant: str) -> CatalogueDetail:
    async with (await reach(tenant)).api() as api:
        return await api.get(path, CatalogueDetail)


async def _install(path: str, body: dict[str, Any], tenant: str) -> McpServer:
    async with (await reach(tenant)).api() as api:
        return await api.post(f"{path}/install", McpServer, body)


def _show(entry: CatalogueDetail, *, as_json: bool) -> None:
    if as_json:
        output.say_json(entry)
        return
    click.echo(f"{entry.title} {entry.version} ({entry.name}, {entry.origin}): {entry.description}")
    for way in entry.ways:
        click.echo(f"--{way.kind} {way.index}: {way.type} {way.target}")
        if way.refused is not None:
            click.echo(f"  not here: {way.refused}")
        for asked in way.asks:
            marks = [mark for mark in ("required", "secret", "repeated") if getattr(asked, mark)]
            marks += [f"default {asked.default}"] if asked.default is not None else []
            marks += [f"one of {', '.join(asked.choices)}"] if asked.choices else []
            click.echo(f"  --set {asked.name}=…  {asked.description or ''} [{'; '.join(marks) or 'optional'}]")


COMMANDS: tuple[click.Command, ...] = (search, install)
