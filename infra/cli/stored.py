"""`agentic workflows list|show|diff|export`: what the platform holds."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.markup import escape

from infra.cli import catalogue, output
from infra.cli.limits import SHOWN_VALUE_CHARS
from infra.cli.shapes import FieldChange, RevisionDiff, StepChange, WorkflowDetail
from infra.cli.target import reach, tenant_option

_SIGNS = {"added": "[green]+", "removed": "[red]-", "changed": "[yellow]~", "moved": "[cyan]>"}
# Fields of steps and triggers that hold the author's own data: what looks like a step in there is none.
_DATA = frozenset({"input", "headers", "query", "body", "output_mapping", "retry"})


@click.command(
    "list", epilog=output.examples("agentic workflows list", "agentic workflows list --status active --json")
)
@click.option("--status", type=click.Choice(["draft", "active", "archived"]), help="Only those in this status.")
@click.option("--category", help="Only those of this category.")
@click.option("--tag", help="Only those with this tag.")
@tenant_option
@output.json_option
def listing(*, status: str | None, category: str | None, tag: str | None, tenant: str, as_json: bool) -> None:
    """List workflows, oldest first, with their runs and how many of them went well.

    With --json one stands on a line.
    """
    wanted = {"status": status, "category": category, "tag": tag}
    found = asyncio.run(_every(tenant, {name: text for name, text in wanted.items() if text is not None}))
    if as_json:
        for workflow in found:
            output.say_json(workflow)
        return
    output.table(
        ("SLUG", "STATUS", "REVISION", "STEPS", "RUNS", "SUCCESS", "AVERAGE", "NAME"),
        (
            (
                one.slug,
                output.coloured(one.status),
                str(one.revision),
                str(len(list(_walk(one.steps)))),
                f"{one.execution_count:,}",
                _rate(one),
                output.milliseconds(one.avg_duration_ms),
                escape(one.name),
            )
            for one in found
        ),
    )


async def _every(tenant: str, narrowed: dict[str, str]) -> list[WorkflowDetail]:
    async with (await reach(tenant)).api() as api:
        return [workflow async for workflow in catalogue.every(api, **narrowed)]


@click.command(epilog=output.examples("agentic workflows show area"))
@click.argument("slug")
@tenant_option
@output.json_option
def show(slug: str, *, tenant: str, as_json: bool) -> None:
    """Show a workflow: its status, its runs and its steps.

    SLUG (or an id) names the workflow.
    """
    one = asyncio.run(_named(tenant, slug))
    if as_json:
        output.say_json(one)
        return
    say = output.stdout.print
    say(f"[bold]{escape(one.name)}[/bold]  {output.coloured(one.status)}  {one.id}")
    if one.description:
        say(escape(one.description))
    labels = [f"revision {one.revision}", f"version {escape(one.version)}", *(f"#{escape(tag)}" for tag in one.tags)]
    say("  ".join([*labels, *([f"category {escape(one.category)}"] if one.category else [])]))
    average = output.milliseconds(one.avg_duration_ms)
    said = (f"{one.execution_count:,} runs", _rate(one) and f"{_rate(one)} went well", average and f"{average} each")
    say("  ".join(part for part in said if part))
    for trigger in one.triggers:
        say(f"trigger: {escape(' '.join(str(trigger[key]) for key in ('type', 'subject') if key in trigger))}")
    output.table(
        ("STEP", "TYPE", "WHEN"),
        (
            (
                escape(f"{'  ' * depth}{f'{held}: ' if held else ''}{step['name']}"),
                escape(step["type"]),
                escape(step.get("when", "")),
            )
            for step, depth, held in _walk(one.steps)
        ),
    )


async def _named(tenant: str, what: str) -> WorkflowDetail:
    async with (await reach(tenant)).api() as api:
        return await catalogue.named(api, what)


@click.command(epilog=output.examples("agentic workflows diff area", "agentic workflows diff area --from 1 --to 3"))
@click.argument("slug")
@click.option("--from", "earlier", type=click.IntRange(1), help="The earlier revision [default: the one before].")
@click.option("--to", "later", type=click.IntRange(1), help="The later revision [default: the newest].")
@tenant_option
@output.json_option
def diff(slug: str, *, earlier: int | None, later: int | None, tenant: str, as_json: bool) -> None:
    """Show what changed between two revisions: steps by name, fields by path.

    SLUG (or an id) names the workflow.
    """
    asked = {"from": earlier, "to": later}
    found = asyncio.run(_diff(tenant, slug, {name: number for name, number in asked.items() if number is not None}))
    if as_json:
        output.say_json(found)
    else:
        _say_diff(found)


async def _diff(tenant: str, what: str, asked: dict[str, int]) -> RevisionDiff:
    async with (await reach(tenant)).api() as api:
        workflow = await catalogue.named(api, what)
        return await api.get(f"{catalogue.WORKFLOWS}/{workflow.id}/diff", RevisionDiff, **asked)


def _say_diff(found: RevisionDiff) -> None:
    say = output.stdout.print
    say(f"[bold]revision {found.from_revision} → {found.to_revision}[/bold]")
    if not found.definition and not found.steps:
        say("nothing changed")
    _say_fields(found.definition, "")
    for step in found.steps:
        say(f"{_SIGNS[step.kind]} {step.kind}[/] [bold]{escape(step.step)}[/bold] ({escape(step.type)}){_where(step)}")
        _say_fields(step.fields, "    ")
    if found.truncated:
        say("… and more: the list is cut")


def _where(step: StepChange) -> str:
    paths = [escape(path) for path in (step.before_path, step.after_path) if path is not None]
    return f"  [dim]{' → '.join(dict.fromkeys(paths))}[/dim]"


def _say_fields(fields: Iterable[FieldChange], before: str) -> None:
    for field in fields:
        values = {"added": (field.after,), "removed": (field.before,)}.get(field.kind, (field.before, field.after))
        shown = " → ".join(escape(_short(value)) for value in values)
        output.stdout.print(f"{before}{_SIGNS[field.kind]} {escape(field.path)}[/]: {shown}", soft_wrap=True)


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_VALUE_CHARS else f"{text[:SHOWN_VALUE_CHARS]}…"


@click.command(
    epilog=output.examples(
        "agentic workflows export area > area.yaml", "agentic workflows export area --format json -o area.json"
    )
)
@click.argument("slug")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="How.")
@click.option("--revision", type=click.IntRange(1), help="Which revision [default: the newest].")
@click.option(
    "-o", "--output", "file", type=click.Path(dir_okay=False, path_type=Path), help="Where to [default: stdout]."
)
@tenant_option
def export(slug: str, *, form: str, revision: int | None, file: Path | None, tenant: str) -> None:
    """Write a workflow's definition as a file.

    SLUG (or an id) names the workflow. `agentic workflows apply` takes the file in again, here or on another platform.
    """
    asked: dict[str, str | int] = {"format": form} if revision is None else {"format": form, "revision": revision}
    text = asyncio.run(_export(tenant, slug, asked))
    if file is None:
        click.echo(text, nl=False)
    else:
        file.write_bytes(text)


async def _export(tenant: str, what: str, asked: dict[str, str | int]) -> bytes:
    async with (await reach(tenant)).api() as api:
        workflow = await catalogue.named(api, what)
        return await api.download(f"{catalogue.WORKFLOWS}/{workflow.id}/export", **asked)


def _rate(workflow: WorkflowDetail) -> str:
    rate = workflow.success_rate
    return "" if rate is None else f"{rate:.0%}"


def _walk(steps: Any, depth: int = 0, held: str = "") -> Iterator[tuple[dict[str, Any], int, str]]:
    """Yield each step with how deep it stands and the field that holds it, holders before what they hold."""
    for step in steps if isinstance(steps, list) else [steps]:
        if not isinstance(step, dict):
            continue
        if not isinstance(step.get("type"), str) or not isinstance(step.get("name"), str):
            for case, inner in step.items():
                yield from _walk(inner, depth, f"{held}.{case}")
            continue
        yield step, depth, held
        for field, inner in step.items():
            if field not in _DATA and isinstance(inner, list | dict):
                yield from _walk(inner, depth + 1, field)
