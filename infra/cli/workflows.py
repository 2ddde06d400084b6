"""`agentic workflows`: validate, apply, run; what is read of them stands in `stored`."""

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec

from infra.cli import catalogue, output, stored, time_travel
from infra.cli.definitions import read_definition
from infra.cli.errors import BadFile, BadInput
from infra.cli.shapes import Execution, Validation, Workflow
from infra.cli.target import reach, tenant_option

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def workflows() -> None:
    """Work with workflow definitions (JSON or YAML files)."""


for _command in (stored.listing, stored.show, stored.diff, stored.export):
    workflows.add_command(_command)


@workflows.command(epilog=output.examples("agentic workflows validate area.yaml"))
@click.argument("file", type=_FILE)
@tenant_option
@output.json_option
def validate(file: Path, *, tenant: str, as_json: bool) -> None:
    """Check a definition and list everything that is wrong with it.

    FILE is a definition in JSON or YAML. Nothing is stored. Exits with 1 if it is not valid. What is valid and may
    still surprise is a warning.
    """
    definition = read_definition(file)
    answer = asyncio.run(_validate(definition, tenant))
    if as_json:
        output.say_json(answer)
        return
    output.warn(answer.warnings)
    click.echo(f"{file} is valid.")


async def _validate(definition: dict[str, Any], tenant: str) -> Validation:
    async with (await reach(tenant)).api() as api:
        return await api.post(f"{catalogue.WORKFLOWS}/validate", Validation, definition)


@workflows.command(epilog=output.examples("agentic workflows apply area.yaml"))
@click.argument("file", type=_FILE)
@tenant_option
@output.json_option
def apply(file: Path, *, tenant: str, as_json: bool) -> None:
    """Store a definition and make it active.

    FILE is a definition in JSON or YAML. If a workflow has its slug (the one that it names, or that its name gives),
    that workflow gets a new revision. This is also how a file of `workflows export` comes back in.
    """
    workflow = asyncio.run(_apply(read_definition(file), tenant))
    if as_json:
        output.say_json(workflow)
        return
    output.warn(workflow.warnings)
    click.echo(f"{workflow.slug} is {workflow.status} ({workflow.id})")


async def _apply(definition: dict[str, Any], tenant: str) -> Workflow:
    async with (await reach(tenant)).api() as api:
        return await catalogue.apply(api, definition)


@workflows.command(
    epilog=output.examples(
        """agentic workflows run area.yaml --input '{"width": 6, "height": 7}'""",
        "agentic workflows run area --input @input.json",
    )
)
@click.argument("what", metavar="FILE|SLUG")
@click.option("--input", "input_text", default="{}", metavar="JSON|@FILE", help="The input: JSON, or @ and a file.")
@tenant_option
@output.json_option
@click.pass_context
def run(context: click.Context, what: str, *, input_text: str, tenant: str, as_json: bool) -> None:
    """Run a workflow, wait for its end and show its steps.

    FILE is a definition in JSON or YAML (.json, .yaml, .yml) and is applied first; SLUG (or an id) names an active
    workflow. Exits with 1 unless the execution completes.
    """
    file = Path(what)
    definition = read_definition(file) if file.suffix in {".json", ".yaml", ".yml"} else None
    execution = asyncio.run(_run(what, definition, read_input(input_text), tenant))
    if as_json:
        output.say_json(execution)
    else:
        show(execution)
    context.exit(0 if execution.status == "completed" else 1)


async def _run(what: str, definition: dict[str, Any] | None, input_data: dict[str, Any], tenant: str) -> Execution:
    async with (await reach(tenant)).api() as api:
        workflow = what if definition is None else (await catalogue.apply(api, definition)).id
        return await catalogue.run(api, workflow, input_data)


def read_input(text: str) -> dict[str, Any]:
    """Return the object that `text` is, or that is in the file behind its `@`."""
    try:
        raw = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        return msgspec.json.decode(raw, type=dict[str, Any])
    except OSError as error:
        raise BadFile(f"{text[1:]} cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise BadInput(f"The input must be a JSON object: {error}.") from error


def show(execution: Execution) -> None:
    """Print an execution, its steps and its output for people."""
    output.stdout.print(
        f"{execution.id}  {output.coloured(execution.status)}  {output.milliseconds(execution.duration_ms)}"
    )
    output.table(
        ("STEP", "TYPE", "STATUS", "ATTEMPTS", "DURATION"),
        (
            (
                step.step_path,
                step.step_type,
                output.coloured(step.status),
                str(step.attempts),
                output.milliseconds(step.duration_ms),
            )
            for step in execution.steps
        ),
    )
    what, value = ("output", execution.output_data) if execution.error is None else ("error", execution.error)
    click.echo(f"{what}: {msgspec.json.format(msgspec.json.encode(value), indent=2).decode()}")


for _command in time_travel.WORKFLOWS:
    workflows.add_command(_command)
