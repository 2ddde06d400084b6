"""`agentic executions diff|replay` and `agentic workflows shadow`: looking back, and trying the new on the past."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec
from rich.markup import escape

from infra.cli import output
from infra.cli.catalogue import named
from infra.cli.definitions import read_definition
from infra.cli.history import path_of
from infra.cli.limits import SHADOWS_PAGE
from infra.cli.shapes import Change, Difference, Replayed, Shadow, ShadowPage, StateDiff
from infra.cli.target import reach, tenant_option

_SHOWN = 100


@click.command(epilog=output.examples("agentic executions diff 01980c7e-… --from 3 --to 9"))
@click.argument("execution_id", metavar="ID", type=click.UUID)
@click.option("--from", "from_version", required=True, type=click.IntRange(1), help="The earlier version.")
@click.option("--to", "to_version", default=None, type=click.IntRange(1), help="The later one (default: the last).")
@tenant_option
@output.json_option
def diff(execution_id: UUID, *, from_version: int, to_version: int | None, tenant: str, as_json: bool) -> None:
    """Show what changed in an execution between two of its versions.

    ID is the execution's; its versions are those of its events (`agentic executions history`).
    """
    found = asyncio.run(_diff(str(execution_id), from_version, to_version, tenant))
    if as_json:
        output.say_json(found)
        return
    output.table(("PLACE", "BEFORE", "AFTER"), (_change(change) for change in found.changes))
    if found.truncated:
        click.echo("… and more than that.")


async def _diff(execution_id: str, from_version: int, to_version: int | None, tenant: str) -> StateDiff:
    params = {"from": from_version} | ({} if to_version is None else {"to": to_version})
    async with (await reach(tenant)).api() as api:
        return await api.get(f"{path_of(execution_id)}/diff", StateDiff, **params)


@click.command("replay", epilog=output.examples("agentic executions replay 01980c7e-…"))
@click.argument("execution_id", metavar="ID", type=click.UUID)
@tenant_option
@output.json_option
@click.pass_context
def replay(context: click.Context, execution_id: UUID, *, tenant: str, as_json: bool) -> None:
    """Fold an execution's history with today's code, decide it anew, and report any difference.

    ID is the execution's. Nothing is run and nothing is changed. Exits with 1 if anything differs.
    """
    found = asyncio.run(_replay(str(execution_id), tenant))
    if as_json:
        output.say_json(found)
    else:
        decided = "decided anew" if found.decided_anew else f"not decided anew: {found.why_not}"
        verdict = "[green]the same[/green]" if found.same else "[red]different[/red]"
        output.stdout.print(f"{found.execution_id}  {found.version} events, {decided}: {verdict}")
        _show(found.differences)
    context.exit(0 if found.same else 1)


async def _replay(execution_id: str, tenant: str) -> Replayed:
    async with (await reach(tenant)).api() as api:
        return await api.get(f"{path_of(execution_id)}/replay", Replayed)


@click.command(epilog=output.examples("agentic workflows shadow area.yaml --against area --last 1000"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--against", required=True, metavar="SLUG", help="The workflow whose executions are replayed (slug or id)."
)
@click.option("--last", default=1000, type=click.IntRange(1, 1_000_000), help="How many of them, the newest first.")
@tenant_option
@output.json_option
@click.pass_context
def shadow(context: click.Context, file: Path, *, against: str, last: int, tenant: str, as_json: bool) -> None:
    """Run a definition over recorded executions and show how its decisions differ.

    FILE is a definition in JSON or YAML. Steps end with their recorded results; nothing outside is touched and nothing
    is stored. Exits with 1 if anything differs.
    """
    found = asyncio.run(_shadow(read_definition(file), against, last, tenant, as_json=as_json))
    differing = [one for one in found if not one.same and one.skipped is None]
    skipped = sum(one.skipped is not None for one in found)
    if not as_json:
        for one in differing:
            stopped = f", stops at {', '.join(one.stopped_at)}" if one.stopped_at else ""
            output.stdout.print(f"[bold]{one.execution_id}[/bold]  {one.status} → {one.shadow_status}{stopped}")
            _show(one.differences)
        click.echo(f"{len(found)} executions: {len(found) - len(differing) - skipped} decided the same, "
                   f"{len(differing)} differ, {skipped} have no shadow.")  # fmt: skip
    context.exit(1 if differing else 0)


async def _shadow(definition: dict[str, Any], against: str, last: int, tenant: str, *, as_json: bool) -> list[Shadow]:
    found: list[Shadow] = []
    cursor: str | None = None
    async with (await reach(tenant)).api() as api:
        workflow = (await named(api, against)).id
        with output.stderr.status("Replaying…") as status:
            while len(found) < last:
                body = {"definition": definition, "last": min(SHADOWS_PAGE, last - len(found)), "cursor": cursor}
                page = await api.post(f"/workflows/workflows/{workflow}/shadow", ShadowPage, body)
                found += page.shadows
                status.update(f"Replayed {len(found):,} executions…")
                if as_json:
                    for one in page.shadows:
                        output.say_json(one)
                cursor = page.next_cursor
                if cursor is None:
                    break
    return found


def _show(differences: list[Difference]) -> None:
    if differences:
        output.table(
            ("STEP", "WHAT", "RECORDED", "NOW"),
            ((escape(d.path) or "(execution)", d.what, _short(d.recorded), _short(d.shadow)) for d in differences),
        )


def _change(change: Change) -> tuple[str, str, str]:
    return escape(change.path), _short(change.before), _short(change.after)


def _short(value: Any) -> str:
    if value is msgspec.UNSET:
        return ""
    text = msgspec.json.encode(value).decode()
    return escape(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


EXECUTIONS = (diff, replay)
WORKFLOWS = (shadow,)
