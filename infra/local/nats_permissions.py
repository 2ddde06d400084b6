"""Who may publish and hear what on NATS: one table, enforced by the server.

Subjects and their meaning stand in docs; here is only who. Every service is a user of its own with a private inbox
prefix, so that no service can read the replies to another. Tenants get theirs from the authorisation callout.
"""

import msgspec

EVENTS, EXTERNAL, COMMANDS, DEADLETTER = "EVENTS", "EXTERNAL", "COMMANDS", "DEADLETTER"

SERVICES = ("tenant", "mcp_gateway", "workflow", "rag", "agent")
OPERATOR = "operator"


class Rights(msgspec.Struct, frozen=True):
    """Subject allow-lists. `answers` allows a publish to the reply subject of a request that was received."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False


_OWN: dict[str, Rights] = {
    "tenant": Rights(
        publish=(),
        # Only the operator may publish these commands: they hand out credentials.
        subscribe=("queries.tenant.*", "commands.tenant.*", "$SYS.REQ.USER.AUTH"),
        answers=True,
    ),
    "mcp_gateway": Rights(
        publish=("results.*",),
        subscribe=("commands.mcp.>",),
        answers=True,
    ),
    "workflow": Rights(
        publish=(
            "commands.workflow.>",
            "commands.mcp.>",
            "commands.rag.>",
            "commands.agent.>",
            "results.*",
            # Answers to commands that lay in a stream: the grant to answer is for requests that come directly.
            "answers.>",
        ),
        subscribe=("commands.workflow.>", "results.*", "answers.workflow.>"),
        answers=True,
    ),
    "rag": Rights(
        publish=("results.*", "commands.rag.>"),
        subscribe=("commands.rag.>", "queries.rag.*"),
        answers=True,
    ),
    "agent": Rights(
        publish=(
            "results.*",
            "commands.agent.>",
            "commands.mcp.>",
            "commands.workflow.start-execution",
            "queries.rag.*",
        ),
        subscribe=("commands.agent.>", "queries.agent.*", "answers.agent.>"),
        answers=True,
    ),
}

# Whose durable consumers may read which stream; everyone hears the facts.
_STREAMS: dict[str, tuple[str, ...]] = {
    "tenant": (EVENTS,),
    "mcp_gateway": (EVENTS,),
    "workflow": (EVENTS, EXTERNAL, COMMANDS),
    "rag": (EVENTS, COMMANDS),
    "agent": (EVENTS, COMMANDS),
}


def inbox_prefix(user: str) -> str:
    """Return the prefix of the reply subjects that only this user may subscribe (`inbox_prefix` of the client)."""
    return f"_INBOX_{user}"


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
            *_jetstream(_STREAMS[service]),
        ),
        subscribe=(*own.subscribe, f"wake.{service}", "events.>", f"{inbox_prefix(service)}.>"),
        answers=own.answers,
    )


def _jetstream(streams: tuple[str, ...]) -> tuple[str, ...]:
    """Return the API subjects to declare the platform's streams and to work with consumers of some of them.

    Deleting, purging or restoring a stream, and deleting a message, is for the operator.
    """
    declare = tuple(
        f"$JS.API.STREAM.{verb}.{name}"
        for verb in ("CREATE", "UPDATE", "INFO")
        for name in (EVENTS, EXTERNAL, COMMANDS, DEADLETTER)
    )
    consume = tuple(
        subject
        for stream in streams
        for subject in (
            f"$JS.API.CONSUMER.CREATE.{stream}.>",
            f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.*",
            f"$JS.API.CONSUMER.INFO.{stream}.*",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
            f"$JS.API.CONSUMER.NAMES.{stream}",
            f"$JS.API.CONSUMER.LIST.{stream}",
            f"$JS.API.CONSUMER.DELETE.{stream}.*",
            f"$JS.API.CONSUMER.UNPIN.{stream}.*",
            f"$JS.API.DIRECT.GET.{stream}.>",
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.ACK.{stream}.>",
            f"$JS.FC.{stream}.>",
        )
    )
    return ("$JS.API.INFO", "$JS.API.STREAM.NAMES", *declare, *consume)
