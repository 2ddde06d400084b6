"""`agentic executions`: watch one as it goes, read its history; `controls` and `time_travel` have the rest."""

import asyncio
from uuid import UUID

import click
import msgspec
from rich.markup import escape

from infra.cli import controls, history, output, time_travel
from infra.cli.shapes import Event, Execution
from infra.cli.target import reach, tenant_option

_DATA_SHOWN = 160


@click.group()
def executions() -> None:
    """Look at executions, and tell them what to do."""


@executions.command(epilog=output.examples("agentic executions watch 01980c7e-…"))
@click.argument("execution_id", metavar="ID", type=click.UUID)
@tenant_option
@output.json_option
@click.pass_context
def watch(context: click.Context, execution_id: UUID, *, tenant: str, as_json: bool) -> None:
    """Print an execution's events as they happen, until it ends.

    ID is the execution's, as `workflows run` prints it. Events that happened already come first. Exits with 1 unless
    it completes.
    """
    execution = asyncio.run(_watch(str(execution_id), tenant, as_json=as_json))
    if not as_json:
        output.stdout.print(f"{output.coloured(execution.status)}  {output.milliseconds(execution.duration_ms)}")
    context.exit(0 if execution.status == "completed" else 1)


async def _watch(execution_id: str, tenant: str, *, as_json: bool) -> Execution:
    async with (await reach(tenant)).api() as api:
        async for event in history.follow(api, execution_id):
            _say(event, as_json=as_json)
        return await history.execution_of(api, execution_id)


@executions.command(
    "history",
    epilog=output.examples(
        "agentic executions history 01980c7e-…", "agentic executions history 01980c7e-… --json | jq .type"
    ),
)
@click.argument("execution_id", metavar="ID", type=click.UUID)
@tenant_option
@output.json_option
def recorded(execution_id: UUID, *, tenant: str, as_json: bool) -> None:
    """Print the recorded events of an execution (with --json one to a line, whole).

    ID is the execution's, as `workflows run` prints it.
    """
    asyncio.run(_history(str(execution_id), tenant, as_json=as_json))


async def _history(execution_id: str, tenant: str, *, as_json: bool) -> None:
    async with (await reach(tenant)).api() as api:
        async for event in history.recorded(api, execution_id):
            _say(event, as_json=as_json)


def _say(event: Event, *, as_json: bool) -> None:
    if as_json:
        output.say_json(event)
        return
    data = msgspec.json.encode(event.data).decode()
    shown = data if len(data) <= _DATA_SHOWN else f"{data[:_DATA_SHOWN]}…"
    output.stdout.print(
        f"{event.version:>4}  {event.recorded_at}  [bold]{event.type}[/bold]  [dim]{escape(shown)}[/dim]",
        soft_wrap=True,
    )


for _command in (*controls.COMMANDS, *time_travel.EXECUTIONS):
    executions.add_command(_command)
