"""The embedded NATS server: who may do what, and how somebody without an nkey gets in."""

import asyncio
import base64
import hashlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats
import nkeys
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig

from infra.local.backbone import Bus
from infra.local.kept import Progress
from infra.local.nats import ACCOUNT
from infra.local.parts import Parts
from infra.local.paths import DataDir
from shared.bus.durable import DurableConsumer, DurableReader
from shared.bus.inboxes import inbox_prefix
from shared.bus.outcome import Done, Outcome, Retry
from shared.bus.streams import COMMANDS, EMITTED, EVENTS, EXTERNAL, ensure_streams
from shared.settings import SERVICES
from tests.conftest import reachable_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 2.0
TENANT = "0190f000-0000-7000-8000-000000000001"
# Calls of JetStream's that no service makes.
NOBODYS = (
    "INFO",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.UPDATE.EVENTS",
    "STREAM.MSG.GET.EVENTS",
    "CONSUMER.CREATE.EVENTS",
    "CONSUMER.CREATE.EVENTS.x.events.>",
    "CONSUMER.DELETE.EVENTS.x",
    "CONSUMER.LIST.EVENTS",
    "CONSUMER.MSG.NEXT.EVENTS.x",
    "CONSUMER.UNPIN.EVENTS.x",
    "DIRECT.GET.EVENTS",
    "DIRECT.GET.EVENTS.events.>",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus() -> AsyncIterator[Bus]:
    folder = reachable_folder()
    place = DataDir(folder / "data")
    place.create()

    def ignore(_: Progress) -> None:
        """Nobody watches."""

    parts = Parts(place, ignore)
    one = Bus(place, None)
    try:
        await one.start(parts)
        yield one
    finally:
        await parts.stop()
        shutil.rmtree(folder)


async def connect(bus: Bus, user: str, refusals: list[str] | None = None) -> Client:
    async def note(error: Exception) -> None:
        if refusals is not None:
            refusals.append(str(error))

    return await nats.connect(
        bus.url, nkeys_seed_str=bus.seed(user), inbox_prefix=inbox_prefix(user).encode(), error_cb=note
    )


async def refused(refusals: list[str], count: int = 1) -> bool:
    """Wait until the server has complained so many times; say whether it did."""
    try:
        async with asyncio.timeout(PATIENCE):
            while len(refusals) < count:
                await asyncio.sleep(0.002)
    except TimeoutError:
        return False
    return len(refusals) == count


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_publishes_its_own_events_and_reads_everybodys(bus: Bus, service: str) -> None:
    client = await connect(bus, service)
    await ensure_streams(client.jetstream())
    subjects = {f"events.{TENANT}.{name}.thing.happened" for name in SERVICES}
    async with read(client, EVENTS, "events.>", service) as heard:
        for subject in subjects:
            await publish(bus, subject)
        await client.jetstream().publish(f"events.{TENANT}.{service}.other.happened", b"its own")
        seen: set[str] = set()
        while not seen >= {*subjects, f"events.{TENANT}.{service}.other.happened"}:
            seen.add((await asyncio.wait_for(heard.get(), PATIENCE)).subject)
    await client.jetstream().publish(f"deadletter.{service}", b"poison")
    await client.close()


@asynccontextmanager
async def read(client: Client, stream: StreamConfig, subject: str, service: str) -> AsyncIterator[asyncio.Queue[Msg]]:
    """Read as services do, and see that what was settled stays settled."""
    heard: asyncio.Queue[Msg] = asyncio.Queue()

    async def handle(message: Msg) -> Outcome:
        await heard.put(message)
        return Retry(0.01, "once more") if message.metadata.num_delivered == 1 else Done()

    reader = DurableReader(
        DurableConsumer(
            service=service,
            stream=stream,
            subject=subject,
            durable=f"{service}-{stream.name}",
            handler=handle,
            max_in_flight=10,
        )
    )
    await reader.start(client)
    await reader._look(client)
    yield heard
    async with asyncio.timeout(PATIENCE):
        while (await client.jetstream().consumer_info(str(stream.name), f"{service}-{stream.name}")).num_ack_pending:
            await asyncio.sleep(0.01)
    await reader.drain()


async def publish(bus: Bus, subject: str) -> None:
    operator = await connect(bus, "operator")
    await operator.jetstream().publish(subject, b"fact")
    await operator.close()


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        *(
            (service, f"events.{TENANT}.{other}.thing.happened")
            for service in SERVICES
            for other in SERVICES
            if other != service
        ),
        *((service, "results.0") for service in ("tenant",)),
        *((service, "commands.mcp.execute-tool") for service in SERVICES if service != "workflow"),
        *(
            (service, subject)
            for service in SERVICES
            if service not in {"workflow", "mcp_gateway"}
            for subject in ("commands.workflow.start-execution", "commands.workflow.control-execution")
        ),
        ("mcp_gateway", "commands.workflow.http-request"),
        *((service, "queries.workflow.execution") for service in SERVICES if service != "mcp_gateway"),
        *((service, "notices.mcp_gateway.x") for service in SERVICES if service != "mcp_gateway"),
        *((service, "commands.tenant.issue-token") for service in SERVICES),
        *((service, f"emitted.{TENANT}.order.paid") for service in SERVICES if service != "workflow"),
        *((service, "$JS.API.STREAM.DELETE.EVENTS") for service in SERVICES),
        *((service, "$JS.API.STREAM.PURGE.EVENTS") for service in SERVICES),
        *((service, "$JS.API.STREAM.MSG.DELETE.EVENTS") for service in SERVICES),
        *((service, "$JS.API.STREAM.CREATE.COPY") for service in SERVICES),
        *((service, f"$JS.API.{call}") for service in SERVICES for call in NOBODYS),
        *(
            (service, f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.x")
            for service in SERVICES
            if service != "workflow"
            for stream in ("COMMANDS", "EXTERNAL", "EMITTED")
        ),
        *((service, "$JS.ACK.COMMANDS.x.1.1.1.1.0") for service in SERVICES if service != "workflow"),
        ("mcp_gateway", "deadletter.workflow"),
        ("workflow", "wake.tenant"),
        ("workflow", "$SYS.REQ.USER.AUTH"),
    ],
)
async def test_a_forged_publish_is_refused(bus: Bus, service: str, subject: str) -> None:
    refusals: list[str] = []
    client = await connect(bus, service, refusals)
    await client.publish(subject, b"{}")
    assert await refused(refusals), f"{service} could publish {subject}"
    await client.close()


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        *((service, ">") for service in SERVICES),
        *((service, "_INBOX.>") for service in SERVICES),
        *((service, f"{inbox_prefix(other)}.>") for service in SERVICES for other in SERVICES if other != service),
        *((service, "$SYS.REQ.USER.AUTH") for service in SERVICES if service != "tenant"),
        ("rag", "commands.mcp.execute-tool"),
        ("mcp_gateway", "results.*"),
        ("mcp_gateway", "answers.workflow.>"),
        ("workflow", "answers.mcp_gateway.>"),
        *((service, "queries.workflow.*") for service in SERVICES if service != "workflow"),
        ("workflow", "queries.tenant.*"),
    ],
)
async def test_a_wide_or_foreign_subscription_is_refused(bus: Bus, service: str, subject: str) -> None:
    refusals: list[str] = []
    client = await connect(bus, service, refusals)
    await client.subscribe(subject)
    assert await refused(refusals), f"{service} could subscribe {subject}"
    await client.close()


async def test_commands_and_their_replies_pass(bus: Bus) -> None:
    workflow, gateway, tenant = [await connect(bus, name) for name in ("workflow", "mcp_gateway", "tenant")]

    async def answer(message: Msg) -> None:
        await message.respond(b"answer")

    await gateway.subscribe("commands.mcp.execute-tool", queue="mcp", cb=answer)
    await tenant.subscribe("queries.tenant.*", cb=answer)
    await workflow.subscribe("queries.workflow.*", queue="workflow", cb=answer)
    await asyncio.gather(gateway.flush(), tenant.flush(), workflow.flush())
    assert (await gateway.request("queries.workflow.execution", b"{}", timeout=15)).data == b"answer"
    assert (await workflow.request("commands.mcp.execute-tool", b"[]", timeout=15)).data == b"answer"
    assert (await gateway.request("queries.tenant.keys", b"{}", timeout=15)).data == b"answer"
    results = await workflow.subscribe("results.*")
    await workflow.flush()
    await gateway.publish("results.7", b"[]")
    assert (await results.next_msg(timeout=15)).subject == "results.7"
    await asyncio.gather(workflow.close(), gateway.close(), tenant.close())


@pytest.mark.parametrize(
    ("stream", "subject", "one"),
    [
        (COMMANDS, "commands.workflow.start-execution", "commands.workflow.start-execution"),
        (EXTERNAL, "events.*.external.>", f"events.{TENANT}.external.order.placed"),
        (EMITTED, "emitted.*.>", f"emitted.{TENANT}.order.placed"),
    ],
)
async def test_the_engine_reads_commands_and_what_tenants_and_executions_say(
    bus: Bus, stream: StreamConfig, subject: str, one: str
) -> None:
    workflow = await connect(bus, "workflow")
    await ensure_streams(workflow.jetstream())
    async with read(workflow, stream, subject, "workflow") as heard:
        operator = await connect(bus, "operator")
        await operator.publish(one, b"go")
        await operator.close()
        for _ in range(2):  # asked for once more, and settled
            assert (await asyncio.wait_for(heard.get(), PATIENCE)).data == b"go"
    await workflow.close()


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed(claims: dict[str, Any], seed: str) -> str:
    key = nkeys.from_seed(bytearray(seed.encode()))
    digest = hashlib.sha256(json.dumps(claims, sort_keys=True).encode()).digest()
    claims = {
        **claims,
        "iss": key.public_key.decode(),
        "iat": int(time.time()),
        "jti": base64.b32encode(digest).decode(),
    }
    head = encoded(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    text = f"{head}.{encoded(json.dumps(claims).encode())}"
    return f"{text}.{encoded(key.sign(text.encode()))}"


@pytest_asyncio.fixture(loop_scope="module")
async def callout(bus: Bus) -> AsyncIterator[None]:
    """Answer the server's questions as the tenant service does: one token is good and is minted one tenant's rights."""
    assert bus.issuer_seed is not None
    issuer = bus.issuer_seed
    responder = await connect(bus, "tenant")

    async def decide(message: Msg) -> None:
        asked = decoded(message.data.decode())["nats"]
        answer: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if asked["connect_opts"].get("auth_token") == "good":
            allowed = {"pub": {"allow": [f"events.{TENANT}.external.>"]}, "sub": {"allow": [f"events.{TENANT}.>"]}}
            user = {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, **allowed}
            answer["jwt"] = signed({"aud": ACCOUNT, "sub": asked["user_nkey"], "name": TENANT, "nats": user}, issuer)
        else:
            answer["error"] = "unknown token"
        claims = {"aud": asked["server_id"]["id"], "sub": asked["user_nkey"], "nats": answer}
        await message.respond(signed(claims, issuer).encode())

    await responder.subscribe("$SYS.REQ.USER.AUTH", cb=decide)
    await responder.flush()
    yield
    await responder.close()


@pytest.mark.usefixtures("callout")
async def test_a_tenant_gets_exactly_what_its_token_was_minted(bus: Bus) -> None:
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        refusals.append(str(error))

    client = await nats.connect(bus.url, token="good", error_cb=note)
    own = await client.subscribe(f"events.{TENANT}.>")
    await client.publish(f"events.{TENANT}.external.order.placed", b"mine")
    assert (await own.next_msg(timeout=15)).data == b"mine"
    assert not refusals
    for count, forbidden in enumerate(("events.>", "events.other.>", ">", "commands.>"), start=1):
        await client.subscribe(forbidden)
        assert await refused(refusals, count), forbidden
    refusals.clear()
    foreign = (
        f"events.{TENANT}.workflow.x.y",
        "events.other.external.x",
        "commands.workflow.start-execution",
        "$JS.API.INFO",
    )
    for count, forbidden in enumerate(foreign, start=1):
        await client.publish(forbidden, b"forged")
        assert await refused(refusals, count), forbidden
    await client.close()


def stranger(nonce: str) -> dict[str, str]:
    key = nkeys.from_seed(bytearray(nkeys.encode_seed(b"x" * 32, nkeys.PREFIX_BYTE_USER)))
    return {"nkey": key.public_key.decode(), "sig": encoded(key.sign(nonce.encode()))}


@pytest.mark.usefixtures("callout")
@pytest.mark.parametrize(
    "credentials",
    [
        lambda _: {},
        lambda _: {"auth_token": "bad"},
        lambda _: {"user": "workflow", "pass": ""},
        stranger,
    ],
    ids=["nothing", "a token that is not known", "a name", "a key that is not known"],
)
async def test_nobody_else_gets_in(bus: Bus, credentials: Callable[[str], dict[str, str]]) -> None:
    host, _, port = bus.url.removeprefix("nats://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    greeting = json.loads((await reader.readline()).removeprefix(b"INFO "))
    options = json.dumps({"verbose": False, "pedantic": False, **credentials(greeting["nonce"])})
    writer.write(f"CONNECT {options}\r\nPING\r\n".encode())
    assert await reader.readline() == b"-ERR 'Authorization Violation'\r\n"
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
