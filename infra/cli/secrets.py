"""`agentic secrets`: what workflows and MCP servers name as `{secret.NAME}`."""

import asyncio
import sys
from pathlib import Path
from urllib.parse import quote

import click

from infra.cli import output
from infra.cli.limits import LISTED_AT_ONCE
from infra.cli.shapes import Secret, SecretPage
from infra.cli.target import reach, tenant_option
from shared.limits import SECRET_VALUE_MAX_BYTES

_PATH = "/secrets"


@click.group()
def secrets() -> None:
    """Keep the secrets of a tenant. A value goes in, and no command shows it again."""


@secrets.command(
    "set",
    epilog=output.examples(
        "agentic secrets set SHOP_KEY < key.txt",
        "agentic secrets set SHOP_KEY --value-file key.txt --description 'of the shop'",
    ),
)
@click.argument("name")
@click.option(
    "--value-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="File that holds the value; without it, standard input.",
)
@click.option("--description", default="", metavar="TEXT", help="What it is, for people.")
@tenant_option
@output.json_option
def put(name: str, *, value_file: Path | None, description: str, tenant: str, as_json: bool) -> None:
    """Give the secret NAME a value, in place of the one that it had.

    A value is no argument: the list of processes and the shell's history would show it. One line break at its end is
    left out.
    """
    body = {"name": name, "value": _value(value_file), "description": description}
    made = asyncio.run(_put(body, tenant))
    if as_json:
        output.say_json(made)
    else:
        click.echo(f"{made.name} has version {made.version}")


def _value(file: Path | None) -> str:
    if file is None and sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True, err=True))
    with sys.stdin.buffer if file is None else file.open("rb") as source:
        raw = source.read(SECRET_VALUE_MAX_BYTES + 3)
    value = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not value:
        raise click.UsageError("There is no value: give it on standard input, or name a file with --value-file.")
    if len(value) > SECRET_VALUE_MAX_BYTES:
        raise click.UsageError(f"A secret has at most {SECRET_VALUE_MAX_BYTES:,} bytes.")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError("A secret is text in UTF-8; encode other bytes, such as in base64.") from error


async def _put(body: dict[str, str], tenant: str) -> Secret:
    async with (await reach(tenant)).api() as api:
        return await api.post(_PATH, Secret, body)


@secrets.command("list", epilog=output.examples("agentic secrets list"))
@tenant_option
@output.json_option
def every(*, tenant: str, as_json: bool) -> None:
    """List names and versions, not values, the newest name first (with --json one to a line)."""
    found = asyncio.run(_list(tenant))
    if as_json:
        for secret in found:
            output.say_json(secret)
        return
    output.table(
        ("NAME", "VERSION", "UPDATED", "BY", "DESCRIPTION"),
        (
            (
                output.escaped(secret.name),
                str(secret.version),
                secret.updated_at,
                output.escaped(secret.updated_by),
                output.escaped(secret.description),
            )
            for secret in found
        ),
    )


async def _list(tenant: str) -> list[Secret]:
    found: list[Secret] = []
    cursor: str | None = ""
    async with (await reach(tenant)).api() as api:
        while cursor is not None:
            more = {"cursor": cursor} if cursor else {}
            page = await api.get(_PATH, SecretPage, **more, limit=LISTED_AT_ONCE)
            found += page.secrets
            cursor = page.next_cursor
    return found


@secrets.command("delete", epilog=output.examples("agentic secrets delete SHOP_KEY"))
@click.argument("name")
@tenant_option
@output.json_option
def delete(name: str, *, tenant: str, as_json: bool) -> None:
    """Delete the secret NAME. What names it fails from then on."""
    asyncio.run(_delete(name, tenant))
    if as_json:
        output.say_json({"deleted": name})
    else:
        click.echo(f"{name} is deleted")


async def _delete(name: str, tenant: str) -> None:
    async with (await reach(tenant)).api() as api:
        await api.delete(f"{_PATH}/{quote(name, safe='')}")
