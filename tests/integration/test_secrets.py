"""Secrets through HTTP and NATS: who sets them, who reads them, and who does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import nats.errors
import nkeys
import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from shared.auth.limits import PROOF_S
from shared.secrets.errors import SecretNotFound, SecretsUnavailable
from shared.secrets.questions import RESOLVE_SUBJECT, Answer, Asker, Question, reader_key
from shared.secrets.remote import RemoteSecrets
from tests.conftest import Backbone
from tests.fixtures.secret_readers import SETTING, secrets_as
from tests.fixtures.tenant_process import Tenants, connect, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

VALUE = "hunter-2-in-plain-sight"


class Place:
    """A tenant service, and where its log is."""

    def __init__(self, tenants: Tenants, folder: Path) -> None:
        self.tenants = tenants
        self.log = folder / "log"

    async def tenant(self, slug: str) -> tuple[str, UUID]:
        """Create a tenant; return its owner's token and its id."""
        owner = await self.tenants.new_tenant(slug)
        me = await self.tenants.call("GET", "auth/me", owner)
        return owner, UUID(me.json()["tenant_id"])

    async def put(self, owner: str, name: str, value: str = VALUE, **more: Any) -> dict[str, Any]:
        headers = more.pop("headers", {})
        body = {"name": name, "value": value, **more}
        answer = await self.tenants.call("POST", "secrets", owner, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("tenant")
    async with tenant_service(backbone, folder) as tenants:
        yield Place(tenants, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(place: Place, backbone: Backbone) -> AsyncIterator[RemoteSecrets]:
    async with secrets_as(backbone) as remote:
        yield remote


async def until_changed(remote: RemoteSecrets, tenant: UUID, name: str, value: str | None) -> None:
    """Wait for less than what is remembered is kept: it was the event that said so."""
    async with asyncio.timeout(4):
        while True:
            try:
                now = (await remote.resolve(tenant, [name]))[name]
            except SecretNotFound:
                now = None
            if now == value:
                return
            await asyncio.sleep(0.01)


async def test_a_secret_is_set_listed_changed_and_deleted_and_only_services_see_its_value(
    place: Place, gateway: RemoteSecrets, backbone: Backbone
) -> None:
    owner, tenant = await place.tenant("secret-life")
    first = await place.put(owner, "SHOP_KEY", description="of the shop")
    assert (first["name"], first["version"], first["description"]) == ("SHOP_KEY", 1, "of the shop")
    assert first["updated_by"].startswith("user:")
    assert await gateway.resolve(tenant, ["SHOP_KEY"]) == {"SHOP_KEY": VALUE}
    async with secrets_as(backbone, "workflow") as workflow:
        assert await workflow.resolve(tenant, ["SHOP_KEY"]) == {"SHOP_KEY": VALUE}

    again = await place.put(owner, "SHOP_KEY", "another value")
    assert (again["version"], again["created_at"]) == (2, first["created_at"])
    await until_changed(gateway, tenant, "SHOP_KEY", "another value")
    await place.put(owner, "other")
    page = (await place.tenants.call("GET", "secrets", owner)).json()
    assert ([(row["name"], row["version"]) for row in page["secrets"]], page["total"]) == (
        [("other", 1), ("SHOP_KEY", 2)],
        2,
    )
    assert set(page["secrets"][0]) == {
        "id", "tenant_id", "name", "description", "version", "created_at", "updated_at", "updated_by",
    }  # fmt: skip

    gone = await place.tenants.call("DELETE", "secrets/SHOP_KEY", owner)
    assert (gone.status_code, int(gone.headers["x-event-position"]) > 0) == (204, True)
    await until_changed(gateway, tenant, "SHOP_KEY", None)
    assert (await place.tenants.call("DELETE", "secrets/SHOP_KEY", owner)).status_code == 404
    assert (await place.put(owner, "SHOP_KEY", "third"))["version"] == 3
    await until_changed(gateway, tenant, "SHOP_KEY", "third")


async def test_a_repeated_request_sets_it_once(place: Place) -> None:
    owner, _ = await place.tenant("secret-repeats")
    key = {"headers": {"Idempotency-Key": "the first"}}
    first = await place.put(owner, "A", **key)
    assert await place.put(owner, "A", **key) == first
    for body in ({"name": "A", "value": "other"}, {"name": "B", "value": VALUE}):
        answer = await place.tenants.call("POST", "secrets", owner, json=body, **key)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "1A"}, 400),
        ({"name": "A-B"}, 400),
        ({"name": "A\n"}, 400),
        ({"name": ""}, 400),
        ({"name": "A" * 64}, 400),
        ({"value": ""}, 400),
        ({"value": 5}, 400),
        ({"value": VALUE + "x" * 16384}, 400),
        ({"value": VALUE + "é" * 10000}, 422),
        ({"value": VALUE + "\0"}, 422),
        ({"description": "two\nlines"}, 400),
        ({"unknown": VALUE}, 400),
    ],
)
async def test_what_is_no_secret_is_refused_without_repeating_it(
    place: Place, body: dict[str, Any], status: int
) -> None:
    answer = await place.tenants.call(
        "POST", "secrets", await place.tenants.token(), json={"name": "A", "value": VALUE, **body}
    )
    assert answer.status_code == status, answer.text
    assert VALUE not in answer.text


async def test_half_a_surrogate_pair_is_refused(place: Place) -> None:
    headers = {"Content-Type": "application/json"}
    content = b'{"name": "A", "value": "\\ud800x"}'
    answer = await place.tenants.call("POST", "secrets", await place.tenants.token(), content=content, headers=headers)
    assert answer.status_code in {400, 422}


async def test_only_admins_set_list_and_delete(place: Place) -> None:
    owner, _ = await place.tenant("secret-admins")
    await place.put(owner, "A")
    await place.tenants.new_user(owner, "dev@secret-admins.test", "developer")
    developer = await place.tenants.token("dev@secret-admins.test")
    for method, path in (("POST", "secrets"), ("GET", "secrets"), ("DELETE", "secrets/A")):
        answer = await place.tenants.call(
            method, path, developer, **({"json": {"name": "B", "value": "b"}} if method == "POST" else {})
        )
        assert answer.status_code == 403, (method, answer.text)


async def test_one_tenant_neither_sees_nor_reads_nor_deletes_anothers(place: Place, gateway: RemoteSecrets) -> None:
    owner, tenant = await place.tenant("secret-owner")
    stranger, their_tenant = await place.tenant("secret-stranger")
    await place.put(owner, "A")
    assert (await place.tenants.call("GET", "secrets", stranger)).json()["secrets"] == []
    assert (await place.tenants.call("DELETE", "secrets/A", stranger)).status_code == 404
    with pytest.raises(SecretNotFound):
        await gateway.resolve(their_tenant, ["A"])
    await place.put(stranger, "A", "theirs")
    assert (await gateway.resolve(tenant, ["A"]), await gateway.resolve(their_tenant, ["A"])) == (
        {"A": VALUE},
        {"A": "theirs"},
    )


async def test_nobody_else_gets_an_answer_over_nats(place: Place, backbone: Backbone) -> None:
    owner, tenant = await place.tenant("secret-askers")
    await place.put(owner, "A")
    seed = backbone.secrets_seed("mcp_gateway")
    body = msgspec.json.encode(Asker(reader_key(seed, SETTING), tenant, ["A"]).question)
    for user in ("rag", "agent"):
        refusals: list[str] = []
        service = await place.tenants.nats_as(user, refusals)
        with pytest.raises(nats.errors.Error):
            await service.request(RESOLVE_SUBJECT, body, timeout=1)
        assert "permissions violation for publish" in refusals[0].lower()
        await service.close()
    refusals = []
    own = await connect(backbone, refusals, token=owner, inbox_prefix=f"_INBOX_{tenant}".encode())
    with pytest.raises(nats.errors.Error):
        await own.request(RESOLVE_SUBJECT, body, timeout=1)
    assert "permissions violation for publish" in refusals[0].lower()
    await own.close()

    # The operator may publish anything, as everybody may on a server without users: it is the signature that counts.
    made: bytes = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)
    for false in (made.decode(), backbone.nats_seed(), backbone.nats_seed("mcp_gateway")):
        async with secrets_as(backbone, "operator", false) as asker:
            with pytest.raises(SecretsUnavailable, match="not among those"):
                await asker.resolve(tenant, ["A"])


async def test_a_question_that_was_changed_or_is_old_is_refused(place: Place, backbone: Backbone) -> None:
    owner, tenant = await place.tenant("secret-forged")
    await place.put(owner, "A")
    operator = await place.tenants.nats_as("operator")
    asker = Asker(reader_key(backbone.secrets_seed("workflow"), SETTING), tenant, ["B"])

    async def answer(question: Question) -> Answer:
        said = await operator.request(RESOLVE_SUBJECT, msgspec.json.encode(question), timeout=10)
        return msgspec.json.decode(said.data, type=Answer)

    assert asker.open((await answer(asker.question)).sealed) == {}
    change = msgspec.structs.replace
    thief = Asker(reader_key(backbone.secrets_seed("workflow"), SETTING), tenant, ["A"]).question.key
    for forged in (
        change(asker.question, names=["A"]),
        change(asker.question, tenant_id=UUID(int=7)),
        change(asker.question, issued_at=asker.question.issued_at + 1),
        change(asker.question, issued_at=asker.question.issued_at - 2 * PROOF_S),
        change(asker.question, key=thief),
        change(asker.question, signature=bytes(64)),
    ):
        refused = await answer(forged)
        assert (refused.sealed, refused.error and refused.error.code) == (b"", "unauthenticated")
    for junk in (b"", b"{}", b"\xff" * 100, b"[" * 100_000, b'{"tenant_id": "x"}'):
        said = msgspec.json.decode((await operator.request(RESOLVE_SUBJECT, junk, timeout=10)).data, type=Answer)
        assert (said.error and said.error.code) == "invalid_input"
    await operator.close()


async def test_who_hears_question_and_answer_reads_nothing(place: Place, backbone: Backbone) -> None:
    owner, tenant = await place.tenant("secret-overheard")
    await place.put(owner, "A")
    heard: list[bytes] = []
    operator = await place.tenants.nats_as("operator")

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    await operator.subscribe(">", cb=hear)
    await operator.flush()
    async with secrets_as(backbone) as remote:
        assert await remote.resolve(tenant, ["A"]) == {"A": VALUE}
    await operator.flush()
    question = next(body for body in heard if b'"reader"' in body)
    assert not [body for body in heard if VALUE.encode() in body]
    # The same question once more: it is answered, and for the key that only the first asker has.
    again = msgspec.json.decode((await operator.request(RESOLVE_SUBJECT, question, timeout=10)).data, type=Answer)
    assert len(again.sealed) > len(VALUE)
    assert VALUE.encode() not in again.sealed
    await operator.close()


async def test_a_suspended_tenant_has_no_secrets(place: Place, gateway: RemoteSecrets) -> None:
    owner, tenant = await place.tenant("secret-suspended")
    await place.put(owner, "A")
    await place.tenants.execute("UPDATE tenant.tenants SET status = 'suspended' WHERE tenant_id = $1", tenant)
    with pytest.raises(SecretNotFound):
        await gateway.resolve(tenant, ["A"])


async def test_the_value_is_in_no_event_no_row_and_no_log(place: Place, backbone: Backbone) -> None:
    owner, tenant = await place.tenant("secret-traces")
    facts: list[bytes] = []
    operator = await place.tenants.nats_as("operator")

    async def hear(message: Msg) -> None:
        facts.append(message.data)

    await operator.subscribe(f"events.{tenant}.tenant.secret.*", cb=hear)
    await operator.flush()
    await place.put(owner, "A", description="d")
    await place.tenants.call("DELETE", "secrets/A", owner)
    await place.put(owner, "A")
    async with asyncio.timeout(10):
        while len(facts) < 3:
            await asyncio.sleep(0.01)
    await operator.close()
    assert [json.loads(fact) for fact in facts] == [
        {"name": "A", "version": 1}, {"name": "A"}, {"name": "A", "version": 2},
    ]  # fmt: skip
    admin = await asyncpg.connect(backbone.admin_dsn)
    tables = await admin.fetch(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'tenant'"
    )
    for schema, table in tables:
        rows = await admin.fetch(f'SELECT t::text FROM "{schema}"."{table}" t')
        found = [row[0] for row in rows if VALUE in row[0] or VALUE.encode().hex() in row[0]]
        assert not found, table
    await admin.close()
    assert VALUE not in place.log.read_text()
