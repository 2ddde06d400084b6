"""`agentic executions list`: find executions."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import click

from infra.cli import output
from infra.cli.api import Api
from infra.cli.executions import executions
from infra.cli.limits import LISTED_AT_ONCE
from infra.cli.shapes import ExecutionPage, ListedExecution
from infra.cli.target import reach, tenant_option

_PATH = "/workflows/workflows/executions"
Params = Mapping[str, str | int | Sequence[str]]


@executions.command(
    "list",
    epilog=output.examples(
        "agentic executions list --status failed --workflow order-total",
        "agentic executions list --attribute customer:c-1 --started-after 2026-03-01T00:00:00Z",
    ),
)
@click.option("--status", multiple=True, help="In this status. Repeatable: in any of them.")
@click.option("--workflow", help="Of this workflow: its slug or its id.")
@click.option("--tag", multiple=True, help="Started with this tag. Repeatable: with all of them.")
@click.option("--attribute", multiple=True, metavar="NAME:VALUE", help="With this attribute. Repeatable: with all.")
@click.option("--trigger", help="Started by this: http, event, command, …")
@click.option("--started-after", metavar="TIME", help="Started at this time or later (RFC 3339).")
@click.option("--started-before", metavar="TIME", help="Started before this time.")
@click.option("--ended-after", metavar="TIME", help="Ended at this time or later; those that ended last come first.")
@click.option("--ended-before", metavar="TIME", help="Ended before this time.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many to print at most.")
@tenant_option
@output.json_option
def list_(limit: int, tenant: str, *, as_json: bool, **wanted: str | tuple[str, ...] | None) -> None:
    """List executions, those that started last first (with --json one to a line)."""
    params: dict[str, str | Sequence[str]] = {name: value for name, value in wanted.items() if value}
    if "workflow" in params:
        params["workflow_id"] = params.pop("workflow")
    asyncio.run(_list(params, limit, tenant, as_json=as_json))


async def _list(params: Params, limit: int, tenant: str, *, as_json: bool) -> None:
    async with (await reach(tenant)).api() as api:
        found = [execution async for execution in _found(api, params, limit)]
    if as_json:
        for execution in found:
            output.say_json(execution)
        return
    output.table(
        ("ID", "STATUS", "STARTED", "DURATION", "TRIGGER", "WHY", "ATTRIBUTES"),
        (
            (
                execution.id,
                output.coloured(execution.status),
                execution.started_at or "",
                output.milliseconds(execution.duration_ms),
                execution.trigger or "",
                execution.error_code or "",
                output.escaped(execution.labels),
            )
            for execution in found
        ),
    )


async def _found(api: Api, params: Params, limit: int) -> AsyncIterator[ListedExecution]:
    """Yield executions from as many pages as it takes: one can be empty, and not the last."""
    cursor: str | None = ""
    while limit > 0 and cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = await api.get(_PATH, ExecutionPage, **params, **more, limit=min(limit, LISTED_AT_ONCE))
        for execution in page.executions:
            yield execution
        limit -= len(page.executions)
        cursor = page.next_cursor
