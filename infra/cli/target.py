"""Which platform a command talks to, and as whom."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
import msgspec

from infra.cli import running
from infra.cli.api import Api
from infra.cli.tokens import issue_token

F = TypeVar("F", bound=Callable[..., Any])


class Target(msgspec.Struct, frozen=True):
    """Addresses and a bearer token. `nats_url` is None where only the HTTP address is known."""

    url: str
    nats_url: str | None
    token: str

    def api(self) -> Api:
        return Api(self.url, self.token)


def tenant_option(command: F) -> F:
    """Add `--tenant`: whose token is asked for when `AGENTIC_TOKEN` is not set."""
    return click.option(
        "--tenant",
        default="demo",
        show_default=True,
        help="Slug of the tenant to act for (unless AGENTIC_TOKEN is set).",
    )(command)


async def reach(tenant: str, environment: Mapping[str, str] = os.environ) -> Target:
    """Find the platform by `AGENTIC_URL` or the data directory; take `AGENTIC_TOKEN` or ask for one as the operator."""
    url, token = environment.get("AGENTIC_URL"), environment.get("AGENTIC_TOKEN")
    if url and token:
        return Target(url.rstrip("/"), environment.get("AGENTIC_NATS_URL"), token)
    folder = running.data_dir(environment)
    found = running.find(folder)
    if not token:
        issued = await issue_token(found.nats_url, running.operator_seed(found, folder), tenant)
        token = issued.access_token
    return Target((url or found.url).rstrip("/"), found.nats_url, token)
