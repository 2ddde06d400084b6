"""`agentic demo`: start everything, run workflows on real input, say what came of them, serve on."""

import asyncio
import sys

import click
import msgspec

from infra.cli import catalogue, output
from infra.cli.api import Api
from infra.cli.definitions import read_definition
from infra.cli.history import path_of
from infra.cli.serve import platform_options, started
from infra.cli.shapes import Execution
from infra.cli.tokens import issue_token
from infra.demo.cases import Case, cases
from infra.demo.site import Site
from infra.local.platform import Platform
from infra.local.signals import until_signal

_TENANT = "demo"
_INTERRUPTED = 130


class Ran(msgspec.Struct, frozen=True):
    """A case that ran. `fault` says what did not come out as it must; empty if all did."""

    workflow: str
    execution: Execution
    history_url: str
    fault: str = ""


@click.command()
@click.option("--once", is_flag=True, envvar="ONCE", help="Exit after the table (also: ONCE=1).")
@output.json_option
@click.pass_context
def demo(context: click.Context, *, once: bool, as_json: bool) -> None:
    """Start everything, run three workflows, serve until Ctrl-C.

    They run on real input, and a table says what came of them.

    Exits with 1 if a workflow did not complete as it must.
    """
    context.exit(asyncio.run(_demo(once=once, as_json=as_json)))


async def _demo(*, once: bool, as_json: bool) -> int:
    outcome = _INTERRUPTED
    with Site() as site:
        # The guard of outgoing requests refuses loopback addresses, except those that a deployment names.
        options = platform_options(AGENTIC_ALLOWED_HOSTS=site.host)
        async with until_signal(), started(options, as_json=as_json) as platform:
            ran = await _run_all(platform, site)
            outcome = 1 if any(each.fault for each in ran) else 0
            if as_json:
                output.say_json({"url": platform.url, "ran": ran})
            else:
                _show(platform, ran)
            if not once:
                if not as_json:
                    token = f"$({sys.argv[0]} token)"
                    click.echo(f'\nThe history needs a token: curl -H "Authorization: Bearer {token}" <history>')
                    click.echo(f"ready {platform.url}")
                await platform.wait()
    return outcome


async def _run_all(platform: Platform, site: Site) -> list[Ran]:
    token = await issue_token(platform.nats_url, platform.operator_seed, _TENANT)
    async with Api(platform.url, token.access_token) as api:
        return [await _run(api, case) for case in cases(site.url)]


async def _run(api: Api, case: Case) -> Ran:
    workflow = await catalogue.apply(api, read_definition(case.file))
    execution = await catalogue.run(api, workflow.id, case.input_data)
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


def _show(platform: Platform, ran: list[Ran]) -> None:
    output.table(
        ("WORKFLOW", "EXECUTION", "STATUS", "STEPS", "ATTEMPTS", "DURATION"),
        (
            (
                each.workflow,
                each.execution.id,
                output.coloured(each.execution.status),
                str(len(each.execution.steps)),
                str(sum(step.attempts for step in each.execution.steps)),
                output.milliseconds(each.execution.duration_ms),
            )
            for each in ran
        ),
    )
    click.echo()
    for each in ran:
        if each.fault:
            click.echo(f"{each.workflow} {each.fault}", err=True)
    click.echo(f"API documentation   {platform.url}/docs")
    for each in ran:
        click.echo(f"History             {each.history_url}")
