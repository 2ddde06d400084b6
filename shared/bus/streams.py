"""The JetStream streams of the platform. Postgres is the truth: each of them can be lost and filled again."""

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RePublish, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

from shared.settings import SERVICES

_DAY = 24 * 3600.0

COMMANDS = StreamConfig(
    name="COMMANDS",
    subjects=["commands.workflow.start-execution", "commands.workflow.control-execution"],
    retention=RetentionPolicy.WORK_QUEUE,
    storage=StorageType.FILE,
    discard=DiscardPolicy.NEW,
    max_bytes=2 * 1024**3,
    duplicate_window=120,
)
EVENTS = StreamConfig(
    name="EVENTS",
    subjects=[f"events.*.{service}.>" for service in SERVICES],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    max_age=7 * _DAY,
    max_bytes=4 * 1024**3,
    duplicate_window=120,
)
# What tenants publish. A publisher names the subject that an ack goes to and its permissions do not bind the server, so
# an ack would put a message wherever a tenant likes, among another tenant's events too: there is none. Message ids are
# the tenants' own choice and shared by all of them: they must not drop another's events, and whoever reads drops
# repeats by tenant and `ce-id`.
EXTERNAL = StreamConfig(
    name="EXTERNAL",
    subjects=["events.*.external.>"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    no_ack=True,
    max_age=7 * _DAY,
    max_bytes=1024**3,
    duplicate_window=0.1,  # the least that the server takes
)
# What executions emit. `EXTERNAL` cannot say that it has stored an event, so it comes here first, where only the
# workflow service publishes. The server then says it again where tenants hear it, with the header `Nats-Stream`.
EMITTED = StreamConfig(
    name="EMITTED",
    subjects=["emitted.*.>"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    max_age=7 * _DAY,
    max_bytes=1024**3,
    duplicate_window=120,
    republish=RePublish(src="emitted.*.>", dest="events.{{wildcard(1)}}.external.>"),
)
DEADLETTER = StreamConfig(
    name="DEADLETTER",
    subjects=["deadletter.>"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    max_age=30 * _DAY,
    max_bytes=1024**3,
)
STREAMS = (COMMANDS, EVENTS, EXTERNAL, EMITTED, DEADLETTER)


async def ensure_streams(js: JetStreamContext) -> None:
    """Create what is missing. Every service does so at its start: whoever is first wins, the rest see it there."""
    for config in STREAMS:
        try:
            await js.stream_info(str(config.name))
        except NotFoundError:
            try:
                await js.add_stream(config)
            except BadRequestError:
                await js.stream_info(str(config.name))  # another service made it meanwhile; else this raises
