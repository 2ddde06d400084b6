"""`agentic token`: a bearer token for scripts."""

import asyncio

import click

from infra.cli import output, running
from infra.cli.target import tenant_option
from infra.cli.tokens import IssuedToken, issue_token


@click.command(
    epilog=output.examples(
        "agentic token", 'curl -H "Authorization: Bearer $(agentic token)" "$(agentic url)/api/v1/auth/me"'
    )
)
@tenant_option
@output.json_option
def token(*, tenant: str, as_json: bool) -> None:
    """Print a bearer token of a tenant's admin, and nothing else.

    Needs the data directory of a running platform (AGENTIC_DATA_DIR), where its operator's key lies.
    """
    issued = asyncio.run(_issue(tenant))
    if as_json:
        output.say_json(issued)
    else:
        click.echo(issued.access_token)


async def _issue(tenant: str) -> IssuedToken:
    folder = running.data_dir()
    found = running.find(folder)
    return await issue_token(found.nats_url, running.operator_seed(found, folder), tenant)
