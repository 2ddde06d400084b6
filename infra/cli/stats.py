"""`agentic stats`: how executions went."""

import asyncio

import click

from infra.cli import output
from infra.cli.shapes import Durations, Stats
from infra.cli.target import reach, tenant_option

_BAR = 40


@click.command(epilog=output.examples("agentic stats", "agentic stats --workflow order-total --by hour"))
@click.option("--workflow", help="Of this workflow: its slug or its id.")
@click.option(
    "--from", "since", metavar="TIME", help="From this time on (RFC 3339); by default thirty days before --to."
)
@click.option("--to", "until", metavar="TIME", help="Up to this time; by default now.")
@click.option("--by", type=click.Choice(["day", "hour"]), default="day", show_default=True, help="Count by this.")
@tenant_option
@output.json_option
def stats(*, workflow: str | None, since: str | None, until: str | None, by: str, tenant: str, as_json: bool) -> None:
    """Show how often workflows ran, how that ended and how long it took."""
    asked = {"workflow_id": workflow, "from": since, "to": until, "period": by}
    found = asyncio.run(_stats({name: value for name, value in asked.items() if value}, tenant))
    if as_json:
        output.say_json(found)
        return
    open_now = ", ".join(
        f"{o.executions:,}{'' if o.exact else ' or more'} {o.status}" for o in found.open if o.executions
    )
    output.stdout.print(f"{found.since} to {found.until}; open now: {open_now or 'none'}")
    output.table(
        ("WORKFLOW", "STARTED", "COMPLETED", "FAILED", "CANCELLED", "P50", "P95", "P99"),
        (
            (name, *(f"{n:,}" for n in (c.started, c.completed, c.failed, c.cancelled)), *_times(d))
            for name, c, d in (
                *((w.slug or w.workflow_id, w.counts, w.duration_ms) for w in found.workflows),
                ("in all", found.totals, found.duration_ms),
            )
        ),
    )
    most = max((p.counts.started for p in found.periods), default=0) or 1
    for period in found.periods:
        bar = "█" * round(period.counts.started / most * _BAR)
        output.stdout.print(f"{period.starts_at}  {bar} {period.counts.started:,}")


def _times(durations: Durations) -> list[str]:
    return [output.milliseconds(value) for value in (durations.p50, durations.p95, durations.p99)]


async def _stats(params: dict[str, str], tenant: str) -> Stats:
    async with (await reach(tenant)).api() as api:
        return await api.get("/workflows/stats", Stats, **params)
