"""The tenant service as a process: over HTTP and NATS only, on real Postgres and NATS."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import jwt
import msgspec
import nats
import pytest
import pytest_asyncio

from infra.local.nats_permissions import SERVICES
from shared.auth.operator import sign_issue_token
from shared.auth.scopes import ALL_SCOPES
from tests.conftest import Backbone
from tests.fixtures.tenant_process import DEMO, PASSWORD, Tenants, connect, greeting_of, refused, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    async with tenant_service(backbone, tmp_path_factory.mktemp("tenant")) as tenants:
        yield tenants


async def test_a_log_in_gives_a_token_that_the_published_keys_verify(service: Tenants) -> None:
    token = await service.token()
    (key,) = (await service.http.get("/.well-known/jwks.json")).json()["keys"]
    assert "d" not in key
    claims = jwt.decode(token, jwt.PyJWK(key).key, algorithms=["EdDSA"], issuer="agentic-platform")
    assert jwt.get_unverified_header(token)["kid"] == key["kid"]
    assert claims["tid"] == str(DEMO)
    assert claims["exp"] - claims["iat"] == 900
    me = (await service.call("GET", "auth/me", token)).json()
    assert (me["email"], me["role"], me["tenant_slug"]) == ("admin@demo.local", "owner", "demo")
    assert me["scopes"] == claims["scope"].split()


@pytest.mark.parametrize(
    "body",
    [
        {"email": "admin@demo.local", "password": "wrong horse battery"},
        {"email": "nobody@demo.local", "password": PASSWORD},
        {"email": "admin@demo.local", "password": PASSWORD, "tenant": "elsewhere"},
    ],
    ids=["wrong password", "unknown user", "another tenant"],
)
async def test_every_refused_log_in_reads_the_same(service: Tenants, body: dict[str, str]) -> None:
    answer = await service.http.post("/api/v1/auth/login", json=body)
    assert answer.status_code == 401
    assert answer.json()["detail"].startswith("The e-mail address or the password is not right.")


async def test_unknown_fields_and_bad_credentials_are_refused(service: Tenants) -> None:
    extra = {"email": "a@b", "password": PASSWORD, "admin": True}
    assert (await service.http.post("/api/v1/auth/login", json=extra)).status_code == 400
    assert (await service.http.get("/api/v1/users")).status_code == 401
    head, _, tail = (await service.token()).rpartition(".")
    none = jwt.encode({"tid": str(DEMO), "sub": "x"}, "", algorithm="none")
    for forged in (f"{head}.{tail[::-1]}", none, "ap_dev_nothing", "x"):
        assert (await service.call("GET", "auth/me", forged)).status_code == 401


@pytest.mark.parametrize("email", ["nobody", "a@b\n", "a\x00@b", "a@b@c", "@b", " a@b", "a@" + "b" * 260])
async def test_what_is_no_address_is_refused_at_the_door(service: Tenants, email: str) -> None:
    answer = await service.http.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "a\n", "a\x00", "../a", "a" * 64])
async def test_what_is_no_slug_is_refused_at_the_door(service: Tenants, slug: str) -> None:
    body = {"slug": slug, "name": "X", "owner": {"email": "a@b", "password": PASSWORD}}
    assert (await service.call("POST", "tenants", await service.token(), json=body)).status_code == 400


async def test_users_are_made_listed_and_removed_and_an_owner_stays(service: Tenants) -> None:
    owner = await service.new_tenant("people")
    body = {"email": "Dev@People.test", "password": PASSWORD, "role": "developer"}
    made = await service.call("POST", "users", owner, json=body, headers={"Idempotency-Key": "dev"})
    again = await service.call("POST", "users", owner, json=body, headers={"Idempotency-Key": "dev"})
    assert (made.status_code, again.json()) == (201, made.json())
    other = await service.call(
        "POST", "users", owner, json={**body, "role": "viewer"}, headers={"Idempotency-Key": "dev"}
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await service.call("POST", "users", owner, json=body)).status_code == 409
    user = made.json()
    assert user["email"] == "dev@people.test"
    assert "password" not in json.dumps(user)
    assert int(made.headers["X-Event-Position"]) > 0
    developer = await service.token("dev@people.test")
    assert (await service.call("GET", "users", developer)).status_code == 403
    listed = (await service.call("GET", "users?limit=1", owner)).json()
    rest = (await service.call("GET", f"users?cursor={listed['next_cursor']}", owner)).json()
    emails = {u["email"] for u in (*listed["users"], *rest["users"])}
    assert (listed["total"], emails) == (2, {"dev@people.test", "owner@people.test"})
    assert (await service.call("DELETE", f"users/{user['id']}", owner)).status_code == 204
    assert (await service.call("GET", f"users/{user['id']}", owner)).status_code == 404
    assert (await service.call("DELETE", f"users/{user['id']}", owner)).status_code == 404
    me = (await service.call("GET", "auth/me", owner)).json()["actor"].removeprefix("user:")
    assert (await service.call("DELETE", f"users/{me}", owner)).status_code == 409


async def test_an_admin_makes_no_owner_and_a_key_gives_no_more_than_its_maker_has(service: Tenants) -> None:
    owner = await service.new_tenant("ranks")
    admin_body = {"email": "admin@ranks.test", "password": PASSWORD, "role": "admin"}
    await service.call("POST", "users", owner, json=admin_body)
    admin = await service.token("admin@ranks.test")
    usurper = {"email": "usurper@ranks.test", "password": PASSWORD, "role": "owner"}
    assert (await service.call("POST", "users", admin, json=usurper)).status_code == 403
    narrow = (await service.new_key(admin, ["tenants:admin"]))["key"]
    wide = {"name": "wide", "scopes": ["workflows:write"]}
    assert (await service.call("POST", "api-keys", narrow, json=wide)).status_code == 403
    viewer = {"email": "viewer@ranks.test", "password": PASSWORD, "role": "viewer"}
    assert (await service.call("POST", "users", narrow, json=viewer)).status_code == 403
    unknown = {"name": "unknown", "scopes": ["everything"]}
    assert (await service.call("POST", "api-keys", admin, json=unknown)).status_code == 422


async def test_a_tenant_sees_itself_and_what_it_created(service: Tenants) -> None:
    one, two = await service.new_tenant("one"), await service.new_tenant("two")
    ids = [(await service.call("GET", "auth/me", token)).json()["tenant_id"] for token in (one, two)]
    people = [(await service.call("GET", "users", token)).json()["users"][0]["id"] for token in (one, two)]
    listed = (await service.call("GET", "tenants", one)).json()
    assert [t["id"] for t in listed["tenants"]] == [ids[0]]
    assert (await service.call("GET", f"tenants/{ids[1]}", one)).status_code == 404
    assert (await service.call("GET", f"users/{people[1]}", one)).status_code == 404
    assert (await service.call("DELETE", f"users/{people[1]}", one)).status_code == 404
    key = await service.new_key(two, ["mcp:read"])
    assert (await service.call("DELETE", f"api-keys/{key['id']}", one)).status_code == 404
    body = {"slug": "three", "name": "Three", "owner": {"email": "owner@three.test", "password": PASSWORD}}
    assert (await service.call("POST", "tenants", one, json=body)).status_code == 403
    demo = await service.token()
    assert {t["id"] for t in (await service.call("GET", "tenants?limit=200", demo)).json()["tenants"]} >= set(ids)
    taken = {**body, "slug": "one"}
    assert (await service.call("POST", "tenants", demo, json=taken)).status_code == 409


async def test_an_address_in_two_tenants_must_name_one(service: Tenants) -> None:
    owner = await service.new_tenant("twice")
    body = {"email": "admin@demo.local", "password": "another password", "role": "viewer"}
    await service.call("POST", "users", owner, json=body)
    ambiguous = {"email": "admin@demo.local", "password": PASSWORD}
    try:
        assert (await service.http.post("/api/v1/auth/login", json=ambiguous)).status_code == 401
        assert await service.token(tenant="demo")
        assert await service.token(password="another password", tenant="twice")
    finally:
        (user,) = [u for u in (await service.call("GET", "users", owner)).json()["users"] if u["role"] == "viewer"]
        assert (await service.call("DELETE", f"users/{user['id']}", owner)).status_code == 204


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(service: Tenants) -> None:
    owner = await service.new_tenant("keys")
    headers = {"Idempotency-Key": "first"}
    body = {"name": "ci", "scopes": ["mcp:read", "workflows:read"]}
    made = await service.call("POST", "api-keys", owner, json=body, headers=headers)
    key = made.json()["key"]
    assert key.startswith(made.json()["prefix"])
    assert made.headers["Cache-Control"] == "no-store"
    repeat = await service.call("POST", "api-keys", owner, json=body, headers=headers)
    assert (repeat.status_code, repeat.json()["code"]) == (409, "already_shown")
    me = (await service.call("GET", "auth/me", key)).json()
    assert (me["actor"], me["scopes"]) == (f"key:{made.json()['id']}", body["scopes"])
    listed = await service.call("GET", "api-keys", owner)
    assert key not in listed.text
    assert listed.json()["api_keys"][0]["last_used_at"] is not None
    workflow = await service.nats_as("workflow")
    verified = json.loads((await workflow.request("queries.tenant.verify-api-key", key.encode(), timeout=15)).data)
    assert verified["verified"]["scopes"] == body["scopes"]
    assert (await service.call("DELETE", f"api-keys/{made.json()['id']}", owner)).status_code == 204
    assert (await service.call("DELETE", f"api-keys/{made.json()['id']}", owner)).status_code == 204
    gone = json.loads((await workflow.request("queries.tenant.verify-api-key", key.encode(), timeout=15)).data)
    assert gone == {}
    await workflow.close()


async def test_neither_keys_nor_passwords_are_stored_and_requests_cannot_read_their_hashes(service: Tenants) -> None:
    key = (await service.new_key(await service.token(), ["mcp:read"]))["key"]
    worker = await asyncpg.connect(service.backbone.working_dsn("tenant"))
    secret = key.rpartition("_")[2]
    rows = await worker.fetch("SELECT row_to_json(k)::text AS row FROM api_keys k")
    assert rows
    assert not [row for row in rows if secret in row["row"]]
    assert (await worker.fetchval("SELECT password_hash FROM users LIMIT 1")).startswith("$argon2id$")
    assert not await worker.fetch("SELECT FROM events WHERE position(convert_to('@', 'UTF8') in data) > 0")
    for statement in ("DELETE FROM events", "UPDATE users SET role = 'owner'", "DELETE FROM api_keys"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(statement)
    await worker.close()
    serving = await asyncpg.connect(service.backbone.serving_dsn("tenant"))
    assert await serving.fetchval("SELECT count(id) FROM users") == 0
    for statement in (
        "SELECT password_hash FROM users",
        "SELECT digest FROM api_keys",
        "SELECT kid FROM signing_keys",
        "UPDATE users SET role = 'owner'",
        "UPDATE tenants SET status = 'active'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await serving.execute(statement)
    await serving.close()


async def test_the_operator_and_nobody_else_gets_tokens_over_nats(service: Tenants) -> None:
    operator = await service.nats_as("operator")
    seed = service.backbone.nats_seed()

    async def ask(command: object) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            (await operator.request("commands.tenant.issue-token", msgspec.json.encode(command), timeout=15)).data
        )
        return answer

    signed = sign_issue_token(seed, "demo")
    answer = await ask(signed)
    assert answer["expires_in"] == 86400
    me = (await service.call("GET", "auth/me", answer["access_token"])).json()
    assert (me["actor"], me["tenant_slug"]) == ("user:operator", "demo")
    for command, code in (
        (signed, "unauthenticated"),  # a second time
        (sign_issue_token(service.backbone.nats_seed("workflow"), "demo"), "unauthenticated"),
        (msgspec.structs.replace(sign_issue_token(seed, "demo"), tenant="elsewhere"), "unauthenticated"),
        (sign_issue_token(seed, "nowhere"), "not_found"),
        ({"tenant": "demo"}, "invalid_input"),
        ([], "invalid_input"),
    ):
        assert (await ask(command))["error"]["code"] == code, command
    await operator.close()
    for name in SERVICES:
        refusals: list[str] = []
        client = await service.nats_as(name, refusals)
        await client.publish("commands.tenant.issue-token", msgspec.json.encode(sign_issue_token(seed, "demo")))
        assert await refused(refusals), name
        await client.close()


@pytest.mark.parametrize("kind", ["token", "key"])
async def test_a_tenant_on_nats_hears_its_events_and_adds_external_ones_and_nothing_else(
    service: Tenants, kind: str
) -> None:
    owner = await service.new_tenant(f"bus-{kind}")
    tenant = (await service.call("GET", "auth/me", owner)).json()["tenant_id"]
    key = (await service.new_key(owner, sorted(ALL_SCOPES)))["key"]
    refusals: list[str] = []
    inbox = f"_INBOX_{tenant}"
    credential = {"token": owner, "key": key}[kind]
    client = await connect(service.backbone, refusals, token=credential, inbox_prefix=inbox.encode())
    events = await client.subscribe(f"events.{tenant}.>")
    await client.subscribe(f"{inbox}.x")
    await client.flush()
    await client.publish(f"events.{tenant}.external.order.placed", b"mine")
    assert (await events.next_msg(timeout=15)).data == b"mine"
    user = {"email": "heard@bus.test", "password": PASSWORD, "role": "viewer"}
    made = (await service.call("POST", "users", owner, json=user)).json()
    heard = await events.next_msg(timeout=15)
    while heard.headers is None or heard.headers["ce-subject"] != made["id"]:
        heard = await events.next_msg(timeout=15)
    assert heard.subject == f"events.{tenant}.tenant.user.created"
    assert not refusals
    wide = (">", "events.>", f"events.{DEMO}.>", "commands.>", "_INBOX.>", "_INBOX_tenant.>", "$SYS.>", "queries.>")
    for count, subject in enumerate(wide, start=1):
        await client.subscribe(subject)
        assert await refused(refusals, count), subject
    refusals.clear()
    forged = (
        f"events.{tenant}.workflow.execution.completed",
        f"events.{DEMO}.external.x",
        "commands.tenant.issue-token",
        "queries.tenant.jwks",
        "$JS.API.INFO",
        "$JS.ACK.EVENTS.x",
    )
    for count, subject in enumerate(forged, start=1):
        await client.publish(subject, b"{}")
        assert await refused(refusals, count), subject
    await client.close()


@pytest.mark.parametrize("elsewhere", ["events.other.external.order.placed", "events.other.workflow.x", "results.3"])
async def test_a_tenant_puts_nothing_elsewhere_by_asking_for_an_ack_there(service: Tenants, elsewhere: str) -> None:
    operator = await service.nats_as("operator")
    own = f"events.{DEMO}.external.order.placed"
    heard = [await operator.subscribe(subject) for subject in (own, elsewhere)]
    await operator.flush()
    client = await connect(service.backbone, token=await service.token())
    before = (await operator.jetstream().stream_info("EXTERNAL")).state.messages
    await client.publish(own, b"{}", reply=elsewhere)
    await client.publish(own, b"{}", reply=elsewhere, headers={"Nats-Expected-Last-Sequence": "999999"})
    await client.flush()
    assert (await heard[0].next_msg(timeout=15)).data == b"{}"
    while (await operator.jetstream().stream_info("EXTERNAL")).state.messages == before:
        await asyncio.sleep(0.01)
    with pytest.raises(nats.errors.TimeoutError):
        await heard[1].next_msg(timeout=0.3)
    await client.close()
    await operator.close()


async def test_a_key_hears_of_what_it_may_read_and_of_nothing_else(service: Tenants) -> None:
    owner = await service.new_tenant("hearing")
    tenant = (await service.call("GET", "auth/me", owner)).json()["tenant_id"]
    key = (await service.new_key(owner, ["workflows:read"]))["key"]
    refusals: list[str] = []
    client = await connect(service.backbone, refusals, token=key, inbox_prefix=f"_INBOX_{tenant}".encode())
    heard = await client.subscribe(f"events.{tenant}.workflow.execution.*")
    others = ("mcp_gateway.>", "rag.>", "agent.>", "tenant.>", "external.>", "*.>", ">")
    for count, rest in enumerate(others, start=1):
        await client.subscribe(f"events.{tenant}.{rest}")
        assert await refused(refusals, count), rest
    workflow = await service.nats_as("workflow")
    await workflow.publish(f"events.{tenant}.workflow.execution.completed", b"{}")
    assert (await heard.next_msg(timeout=15)).data == b"{}"
    await client.close()
    await workflow.close()


async def test_nats_refuses_what_is_no_credential_and_a_key_without_the_scope(service: Tenants) -> None:
    narrow = (await service.new_key(await service.token(), ["mcp:write"]))["key"]
    for token in ("nothing", narrow):
        assert await greeting_of(service.backbone, token) == b"-ERR 'Authorization Violation'\r\n"
    reader = (await service.new_key(await service.token(), ["workflows:read"]))["key"]
    refusals: list[str] = []
    client = await connect(service.backbone, refusals, token=reader)
    await client.publish(f"events.{DEMO}.external.x", b"{}")
    assert await refused(refusals)
    await client.close()
