"""`agentic demo`: start everything, run workflows on real input, say what came of them, serve on."""

import asyncio

import click
import msgspec

from infra.cli import catalogue, output
from infra.cli.api import Api
from infra.cli.definitions import read_definition
from infra.cli.history import path_of
from infra.cli.limits import WIDE_TABLE
from infra.cli.serve import platform_options, started
from infra.cli.shapes import Execution
from infra.cli.tokens import issue_token
from infra.demo.cases import Case, cases
from infra.demo.site import Site
from infra.local.platform import Platform
from infra.local.signals import until_signal
from shared.errors import PlatformError

_TENANT = "demo"
_INTERRUPTED = 130


class Ran(msgspec.Struct, frozen=True):
    """A case that was tried. `fault` says what did not come out as it must; empty if all did.

    Without an execution it could not even be started.
    """

    workflow: str
    execution: Execution | None = None
    history_url: str = ""
    fault: str = ""


@click.command(epilog=output.examples("agentic demo", "ONCE=1 agentic demo", "agentic demo --once --json"))
@click.option("--once", is_flag=True, envvar="ONCE", help="Exit after the table (also: ONCE=1).")
@output.json_option
@click.pass_context
def demo(context: click.Context, *, once: bool, as_json: bool) -> None:
    """Start everything, run three workflows, serve until Ctrl-C.

    They run on real input: a tool of the calculator, three pages fetched at once, a supplier that refuses at first.
    A table says what came of them.

    Exits with 1 if one of them did not do what it must.
    """
    context.exit(asyncio.run(_demo(once=once, as_json=as_json)))


async def _demo(*, once: bool, as_json: bool) -> int:
    outcome = _INTERRUPTED
    ran: list[Ran] = []
    with Site() as site:
        # The guard of outgoing requests refuses loopback addresses, except those that a deployment names.
        options = platform_options(AGENTIC_ALLOWED_HOSTS=site.host)
        async with until_signal(), started(options, as_json=as_json) as platform:
            ran = await _run_all(platform, site)
            outcome = 1 if any(each.fault for each in ran) else 0
            if as_json:
                output.say_json({"url": platform.url, "ran": ran})
            else:
                _show(platform.url, ran)
            if not once:
                if not as_json:
                    _say_what_next(ran)
                    click.echo(f"ready {platform.url}")
                await platform.wait()
    if once and ran and not as_json:
        click.echo("\nThe platform has ended, its data stays. The links work while it runs, with a token:")
        click.echo(f"  {output.command('up')}\n  {output.command('token')}")
    return outcome


async def _run_all(platform: Platform, site: Site) -> list[Ran]:
    token = await issue_token(platform.nats_url, platform.operator_seed, _TENANT)
    async with Api(platform.url, token.access_token) as api:
        return [await _run(api, case) for case in cases(site.url)]


async def _run(api: Api, case: Case) -> Ran:
    definition = read_definition(case.file)
    try:
        workflow = await catalogue.apply(api, definition)
        execution = await catalogue.run(api, workflow.id, case.input_data)
    except PlatformError as error:
        return Ran(definition["name"], fault=f"could not be run: {error.message} ({error.code})")
    url = f"{api.url}/api/v1{path_of(execution.id)}/events"
    return Ran(workflow.name, execution, url, _fault(case, execution))


def _fault(case: Case, execution: Execution) -> str:
    if execution.status != "completed":
        return f"ended as {execution.status}: {execution.error}"
    if execution.output_data != case.expected:
        return f"gave {execution.output_data} instead of {case.expected}"
    attempts = sum(step.attempts for step in execution.steps if step.step_name == case.attempted)
    if attempts != case.attempts:
        return f"tried the step {case.attempted} {attempts} times instead of {case.attempts}"
    return ""


def _show(url: str, ran: list[Ran]) -> None:
    wide = output.stdout.width >= WIDE_TABLE
    columns = ("WORKFLOW", "EXECUTION", "STATUS", "STEPS", "ATTEMPTS", "DURATION")
    click.echo()
    output.table(
        columns if wide else columns[:1] + columns[2:],
        (row if wide else row[:1] + row[2:] for row in map(_row, ran)),
    )
    click.echo()
    faults = [each for each in ran if each.fault]
    for each in faults:
        click.echo(f"{each.workflow} {each.fault}", err=True)
    if faults:
        click.echo(f"Error: {len(faults)} of {len(ran)} workflows did not do what they must.\n", err=True)
    name = max(len(each.workflow) for each in ran)
    click.echo("What happened in each, event by event (the API wants a token, see below):")
    for each in ran:
        if each.history_url:
            click.echo(f"  {each.workflow:<{name}}  {each.history_url}")
    click.echo(f"API documentation: {url}/docs")


def _row(each: Ran) -> tuple[str, ...]:
    if each.execution is None:
        return (each.workflow, "", output.coloured("failed"), "", "", "")
    steps = each.execution.steps
    return (
        each.workflow,
        each.execution.id,
        output.coloured(each.execution.status),
        str(len(steps)),
        str(sum(step.attempts for step in steps)),
        output.milliseconds(each.execution.duration_ms),
    )


def _say_what_next(ran: list[Ran]) -> None:
    first = next((each for each in ran if each.execution is not None), None)
    click.echo("\nNext, in another terminal:")
    if first is not None and first.execution is not None:
        token = output.command("token")
        click.echo(f"  {output.command('executions', 'history', first.execution.id)}")
        click.echo(f'  curl -H "Authorization: Bearer $({token})" {first.history_url}')
    click.echo(f"  {output.command('doctor')}")
    click.echo("Ctrl-C ends the platform; its data stays.\n")
