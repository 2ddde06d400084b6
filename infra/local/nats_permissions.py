"""Who may publish and hear what on NATS: one table, enforced by the server.

Subjects and their meaning stand in docs; here is only who. Every service is a user of its own with a private inbox
prefix, so that no service can read the replies to another. Tenants get theirs from the authorisation callout.
"""

import msgspec
from nats.js.api import StreamConfig

from shared.bus.inboxes import inbox_prefix
from shared.bus.streams import COMMANDS, EMITTED, EVENTS, EXTERNAL, STREAMS
from shared.settings import SERVICES

OPERATOR = "operator"


class Rights(msgspec.Struct, frozen=True):
    """Subject allow-lists. `answers` allows a publish to the reply subject of a request that was received."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False


# Asked by those who use secrets, whom the tenant service also knows by a signature.
_SECRETS = "queries.tenant.secrets.resolve"

_OWN: dict[str, Rights] = {
    "tenant": Rights(
        publish=(),
        # Only the operator may publish these commands: they hand out credentials.
        subscribe=("queries.tenant.*", _SECRETS, "commands.tenant.*", "$SYS.REQ.USER.AUTH"),
        answers=True,
    ),
    "mcp_gateway": Rights(
        publish=(
            "results.*",
            # Workflows are tools too: it starts and cancels them, and asks where they stand.
            "commands.workflow.start-execution",
            "commands.workflow.control-execution",
            "queries.workflow.*",
            "notices.mcp_gateway.*",
            _SECRETS,
        ),
        subscribe=("commands.mcp.>", "answers.mcp_gateway.>", "notices.mcp_gateway.*"),
        answers=True,
    ),
    "workflow": Rights(
        publish=(
            "commands.workflow.>",
            "commands.mcp.>",
            "commands.rag.>",
            "commands.agent.>",
            "results.*",
            _SECRETS,
            "emitted.>",
            # Answers to commands that lay in a stream: the grant to answer is for requests that come directly.
            "answers.>",
        ),
        subscribe=("commands.workflow.>", "queries.workflow.*", "results.*", "answers.workflow.>"),
        answers=True,
    ),
    # What they will say to others is added with what says it.
    "rag": Rights(
        publish=("results.*", "commands.rag.>"),
        subscribe=("commands.rag.>",),
        answers=True,
    ),
    "agent": Rights(
        publish=("results.*", "commands.agent.>"),
        subscribe=("commands.agent.>",),
        answers=True,
    ),
}

# Whose durable consumers may read which stream, besides the facts, which are for everyone.
_ALSO_READS = {"workflow": (EXTERNAL, EMITTED, COMMANDS)}


def rights(service: str) -> Rights:
    """Return everything that a service may do."""
    own = _OWN[service]
    return Rights(
        publish=(
            *own.publish,
            f"events.*.{service}.>",
            f"deadletter.{service}",
            f"wake.{service}",
            "queries.tenant.*",
            *_jetstream((EVENTS, *_ALSO_READS.get(service, ()))),
        ),
        subscribe=(*own.subscribe, f"wake.{service}", "events.>", f"{inbox_prefix(service)}.>"),
        answers=own.answers,
    )


def _jetstream(read: tuple[StreamConfig, ...]) -> tuple[str, ...]:
    """Return the API subjects to declare the platform's streams and to read some of them by durable push consumers.

    Those are all that `shared.bus` uses. To change, purge or delete a stream or a consumer is for the operator.
    """
    declare = (f"$JS.API.STREAM.{verb}.{stream.name}" for verb in ("CREATE", "INFO") for stream in STREAMS)
    consume = (
        subject
        for stream in read
        for subject in (
            f"$JS.API.CONSUMER.DURABLE.CREATE.{stream.name}.*",
            f"$JS.API.CONSUMER.INFO.{stream.name}.*",
            f"$JS.ACK.{stream.name}.>",
        )
    )
    return (*declare, *consume)


__all__ = ["OPERATOR", "SERVICES", "Rights", "rights"]
