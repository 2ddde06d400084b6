"""`agentic up`: the platform in the foreground."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import click
import msgspec

from infra.cli import output, outside, running
from infra.cli.environment import for_services, variables
from infra.cli.progress import Watching
from infra.local.errors import BadEnvironment
from infra.local.limits import WORKFLOW_PROCESSES_MAX
from infra.local.options import Options
from infra.local.platform import Platform
from infra.local.signals import until_signal


def platform_options(environment: Mapping[str, str] = os.environ, **more: str) -> Options:
    """Return what the platform is started with: the environment, and `more` variables for the services."""
    options = Options.from_environment(environment)
    return msgspec.structs.replace(options, environment={**for_services(environment), **more})


@asynccontextmanager
async def started(options: Options, *, as_json: bool) -> AsyncIterator[Platform]:
    """Start the platform, showing how far it is, and leave word of it for the other commands.

    Raises `BadEnvironment` at once for what would only be seen when services do not come up.
    """
    await _look_before(options)
    with Watching(output.stderr, as_json=as_json) as watching:
        async with Platform(options, watching) as platform:
            with running.recorded(platform, options.data_dir):
                yield platform


async def _look_before(options: Options) -> None:
    seen = list(variables(options.environment))
    if options.postgres_dsn is not None:
        seen += await outside.postgres(options.postgres_dsn)
    if options.nats_url is not None:
        seen += await outside.nats_server(options.nats_url)
    for finding in seen:
        if finding.state == "wrong" and finding.name != "pgvector":  # no service asks for vectors yet
            raise BadEnvironment(f"{finding.name}: {finding.detail}. {finding.remedy}")


@click.command(epilog=output.examples("agentic up", "AGENTIC_HTTP_PORT=9000 AGENTIC_DATA_DIR=/tmp/other agentic up"))
@click.option(
    "--workflow-processes",
    type=click.IntRange(1, WORKFLOW_PROCESSES_MAX),
    help="Processes of the workflow service that share the executions (1, or AGENTIC_WORKFLOW_PROCESSES).",
)
@output.json_option
def up(*, workflow_processes: int | None, as_json: bool) -> None:
    """Start everything and serve until SIGTERM or Ctrl-C.

    Prints `ready <url>` on a line of its own when every service answers. Progress goes to stderr. What is being done
    is finished before it ends; a second signal ends it at once.
    """
    options = platform_options()
    if workflow_processes is not None:
        options = msgspec.structs.replace(options, workflow_processes=workflow_processes)
    asyncio.run(_up(options, as_json=as_json))


async def _up(options: Options, *, as_json: bool) -> None:
    async with until_signal(), started(options, as_json=as_json) as platform:
        if as_json:
            output.say_json({"ready": platform.url, "nats_url": platform.nats_url, "data_dir": str(options.data_dir)})
        else:
            click.echo(f"ready {platform.url}")
        await platform.wait()
