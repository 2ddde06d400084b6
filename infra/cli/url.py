"""`agentic url`: where the platform answers, for scripts."""

import os

import click

from infra.cli import output, running


@click.command(epilog=output.examples("agentic url", 'curl "$(agentic url)/version"'))
@output.json_option
def url(*, as_json: bool) -> None:
    """Print the platform's URL, and nothing else.

    That is AGENTIC_URL if it is set, else the address of the platform that runs on the data directory. Exits with 1 if
    none runs.
    """
    found = (os.environ.get("AGENTIC_URL") or running.find(running.data_dir()).url).rstrip("/")
    if as_json:
        output.say_json({"url": found})
    else:
        click.echo(found)
