"""`agentic events tail`: a tenant's public events from NATS, as any client of that tenant can hear them."""

import asyncio
from typing import Any

import click
import msgspec
from nats.aio.msg import Msg
from nats.errors import BadSubjectError

from infra.cli import output
from infra.cli.errors import BadInput, Unreachable
from infra.cli.target import Target, reach, tenant_option
from infra.cli.tokens import connect
from infra.local.signals import until_signal
from shared.bus.inboxes import inbox_prefix


class _Me(msgspec.Struct):
    tenant_id: str


@click.group()
def events() -> None:
    """Listen to the platform's events."""


@events.command(epilog=output.examples("agentic events tail", "agentic events tail 'workflow.execution.*' --count 2"))
@click.argument("subject", default=">")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@tenant_option
@output.json_option
def tail(subject: str, *, count: int | None, tenant: str, as_json: bool) -> None:
    """Print a tenant's events as they happen, until Ctrl-C.

    SUBJECT is a NATS pattern below `events.<tenant>.`, such as `workflow.execution.*`; all of them if left out. The
    connection is the tenant's own: NATS refuses it any other tenant's events.
    """
    asyncio.run(_tail(subject, count, tenant, as_json=as_json))


async def _tail(subject: str, count: int | None, tenant: str, *, as_json: bool) -> None:
    target = await reach(tenant)
    if target.nats_url is None:
        raise Unreachable("The address of NATS is not known: set AGENTIC_NATS_URL.")
    tenant_id = await _tenant_id(target)
    client = await connect(target.nats_url, token=target.token, inbox_prefix=inbox_prefix(tenant_id))
    try:
        async with until_signal():
            try:
                subscription = await client.subscribe(f"events.{tenant_id}.{subject}")
            except BadSubjectError as error:
                raise BadInput(f"{subject!r} is no NATS pattern.") from error
            await client.flush()
            if not as_json:
                click.echo(f"listening to events.{tenant_id}.{subject}", err=True)
            seen = 0
            async for message in subscription.messages:
                _say(message, as_json=as_json)
                seen += 1
                if seen == count:
                    break
            else:
                raise Unreachable("NATS ended the connection: the platform stopped, or the token has expired.")
    finally:
        await client.close()


async def _tenant_id(target: Target) -> str:
    async with target.api() as api:
        return (await api.get("/auth/me", _Me)).tenant_id


def _say(message: Msg, *, as_json: bool) -> None:
    headers = message.headers or {}
    data: Any = msgspec.json.decode(message.data) if message.data else None
    if as_json:
        output.say_json({"subject": message.subject, "headers": headers, "data": data})
        return
    output.stdout.print(
        f"{headers.get('ce-time', '')}  [bold]{headers.get('ce-type', message.subject)}[/bold]  "
        f"{headers.get('ce-subject', '')}",
        soft_wrap=True,
    )
