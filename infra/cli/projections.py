"""`agentic projections`: read models, built anew from the log."""

import asyncio

import click
import msgspec
import nats.errors

from infra.cli import output, running
from infra.cli.errors import ApiRefused, Unreachable, reason
from infra.cli.limits import REBUILD_TIMEOUT
from infra.cli.tokens import connect_operator

_DEFAULT = "workflow_counters"


class Rebuilt(msgspec.Struct):
    """What a service answers; `error` instead of the rest when it refused."""

    name: str = ""
    events: int = 0
    digest_before: str = ""
    digest_after: str = ""
    error: dict[str, str] | None = None


@click.group(epilog=output.examples(f"agentic projections rebuild {_DEFAULT}"))
def projections() -> None:
    """Work with the read models that follow the log."""


@projections.command(epilog=output.examples(f"agentic projections rebuild {_DEFAULT}"))
@click.argument("name")
@click.option("--service", default="workflow", show_default=True, help="The service that keeps it.")
@output.json_option
def rebuild(*, name: str, service: str, as_json: bool) -> None:
    """Build a read model anew from the first event, and swap it in.

    NAME is the read model's. Readers see the old one until the new one is complete. Needs the data directory of a
    running platform (AGENTIC_DATA_DIR), where its operator's key lies.
    """
    rebuilt = asyncio.run(_rebuild(name, service))
    if as_json:
        output.say_json(rebuilt)
        return
    same = rebuilt.digest_before == rebuilt.digest_after
    changed = "it is as it was" if same else "it was not right before: it is another now"
    click.echo(f"{rebuilt.name}: built anew from {rebuilt.events:,} events; {changed}.")


async def _rebuild(name: str, service: str) -> Rebuilt:
    folder = running.data_dir()
    found = running.find(folder)
    client = await connect_operator(found.nats_url, running.operator_seed(found, folder))
    subject = f"commands.{service}.rebuild-projection"
    try:
        reply = await client.request(subject, msgspec.json.encode({"name": name}), timeout=REBUILD_TIMEOUT)
    except nats.errors.NoRespondersError as error:
        raise ApiRefused(404, "not_found", f"The service {service!r} has no read models.", [], {}) from error
    except (TimeoutError, nats.errors.Error) as error:
        raise Unreachable(f"The service {service!r} does not answer: {reason(error)}.") from error
    finally:
        await client.close()
    rebuilt = msgspec.json.decode(reply.data, type=Rebuilt)
    if rebuilt.error is not None:
        raise ApiRefused(404, rebuilt.error["code"], rebuilt.error["message"], [], {})
    return rebuilt
