"""`agentic executions cancel|pause|resume|…`: telling an execution what to do."""

import asyncio
from typing import Any
from uuid import UUID

import click

from infra.cli import output
from infra.cli.history import execution_of, path_of
from infra.cli.shapes import Execution
from infra.cli.target import reach, tenant_option
from infra.cli.workflows import read_input, show

_REASON = click.Option(["--reason"], metavar="TEXT", help="Why; it stands in the history.")


def _command(name: str, sentence: str, *, reason: bool) -> click.Command:
    """Return the command of a control that takes a reason at most."""

    @click.command(name, epilog=output.examples(f"agentic executions {name} 01980c7e-…"))
    @click.argument("execution_id", metavar="ID", type=click.UUID)
    @tenant_option
    @output.json_option
    def control(execution_id: UUID, *, tenant: str, as_json: bool, reason: str | None = None) -> None:
        body = None if reason is None else {"reason": reason}
        _say(asyncio.run(_tell(str(execution_id), name, body, tenant)), as_json=as_json)

    if reason:
        control.params.insert(1, _REASON)
    control.help = f"{sentence}\n\nID is the execution's, as `workflows run` prints it."
    return control


async def _tell(execution_id: str, what: str, body: Any, tenant: str) -> Execution:
    async with (await reach(tenant)).api() as api:
        return await api.post(f"{path_of(execution_id)}/{what}", Execution, body)


def _say(execution: Execution, *, as_json: bool) -> None:
    if as_json:
        output.say_json(execution)
    else:
        click.echo(f"{execution.id} is {execution.status}")


@click.command(
    epilog=output.examples("""agentic executions signal 01980c7e-… paid --data '{"amount": 12}'"""),
)
@click.argument("execution_id", metavar="ID", type=click.UUID)
@click.argument("name", metavar="NAME")
@click.option("--data", "data", default="{}", metavar="JSON|@FILE", help="What the signal carries.")
@tenant_option
@output.json_option
def signal(execution_id: UUID, name: str, *, data: str, tenant: str, as_json: bool) -> None:
    """Send an execution the signal that a step of it waits for, or will wait for.

    ID is the execution's, NAME what its `wait_for_event` step calls the event.
    """
    body = {"data": read_input(data)}
    _say(asyncio.run(_tell(str(execution_id), f"signals/{name}", body, tenant)), as_json=as_json)


@click.command(
    epilog=output.examples("""agentic executions fork 01980c7e-… --from summarise --input '{"text": "…"}'"""),
)
@click.argument("execution_id", metavar="ID", type=click.UUID)
@click.option(
    "--from", "from_step", required=True, metavar="STEP", help="The path of the step where it goes its own way."
)
@click.option("--input", "input_text", default=None, metavar="JSON|@FILE", help="Another input for the execution.")
@click.option("--workflow", default=None, metavar="SLUG", help="Another workflow's active revision.")
@click.option("--revision", default=None, type=int, help="Another revision.")
@tenant_option
@output.json_option
def fork(
    execution_id: UUID,
    *,
    from_step: str,
    input_text: str | None,
    workflow: str | None,
    revision: int | None,
    tenant: str,
    as_json: bool,
) -> None:
    """Start an execution that has done what another had done before one of its steps.

    ID is the other's. Steps that were over by then keep what they gave; from there on everything is done anew.
    """
    body: dict[str, Any] = {"from_step": from_step}
    if input_text is not None:
        body["input_data"] = read_input(input_text)
    body |= {name: value for name, value in (("workflow_id", workflow), ("revision", revision)) if value is not None}
    _say(asyncio.run(_tell(str(execution_id), "fork", body, tenant)), as_json=as_json)


@click.command("show", epilog=output.examples("agentic executions show 01980c7e-…"))
@click.argument("execution_id", metavar="ID", type=click.UUID)
@tenant_option
@output.json_option
def show_one(execution_id: UUID, *, tenant: str, as_json: bool) -> None:
    """Show an execution with its steps and its output.

    ID is the execution's, as `workflows run` prints it.
    """
    found = asyncio.run(_one(str(execution_id), tenant))
    if as_json:
        output.say_json(found)
    else:
        show(found)


async def _one(execution_id: str, tenant: str) -> Execution:
    async with (await reach(tenant)).api() as api:
        return await execution_of(api, execution_id)


COMMANDS = (
    show_one,
    _command("cancel", "End an execution, once what asks for it is undone.", reason=True),
    _command("terminate", "End an execution at once, undoing nothing.", reason=True),
    _command("pause", "Begin nothing more in an execution until it is resumed.", reason=True),
    _command("resume", "Go on with an execution that was paused.", reason=False),
    _command("retry", "Go on with an execution that failed, from what did not end well.", reason=False),
    signal,
    fork,
)
