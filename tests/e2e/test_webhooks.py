"""Webhooks from outside: whoever signs starts, nobody else does, and nothing starts twice."""

import base64
import hashlib
import hmac
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import msgspec
import pytest

from tests.e2e.conftest import Whole
from tests.e2e.test_main_job import WORKFLOWS, active, ended

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEP = {"type": "transform", "name": "a", "input": "{input}"}
JSON = {"content-type": "application/json"}


class Sender:
    """A program somewhere that knows an address and a key, and signs as Standard Webhooks has it."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self.key = base64.b64decode(secret.removeprefix("whsec_"))

    def signed(self, body: bytes, message_id: str, at: int) -> dict[str, str]:
        digest = hmac.new(self.key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": signature}

    async def send(
        self,
        data: Any,
        message_id: str | None = None,
        *,
        raw: bytes | None = None,
        at: int | None = None,
        **headers: str,
    ) -> httpx2.Response:
        body = msgspec.json.encode(data) if raw is None else raw
        signed = self.signed(body, message_id or f"msg_{uuid4().hex}", int(time.time()) if at is None else at)
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:
            for _ in range(5):
                # A refusal that comes before all of a body was taken can cut the connection: senders try again.
                with suppress(httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError):
                    return await client.post(self.url, content=body, headers={**JSON, **signed, **spelled})
        raise AssertionError(f"{self.url} never answered")


async def hooks_of(client: httpx2.AsyncClient, workflow: str) -> dict[str, dict[str, Any]]:
    answer = await client.get(f"{WORKFLOWS}/{workflow}/webhooks")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return {hook["name"]: hook for hook in answer.json()["webhooks"]}


async def hooked(client: httpx2.AsyncClient, **trigger: Any) -> tuple[str, Sender]:
    workflow = await active(client, {"steps": [STEP], "triggers": [{"type": "webhook", **trigger}]})
    hook = (await hooks_of(client, workflow))["webhook"]
    return workflow, Sender(hook["url"], hook["signing_secret"])


async def runs(client: httpx2.AsyncClient, workflow: str) -> int:
    answer = await client.get(f"{WORKFLOWS}/executions", params={"workflow_id": workflow})
    total: int = answer.json()["total"]
    return total


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_a_signed_request_starts_an_execution_with_its_body(demo: httpx2.AsyncClient) -> None:
    _, sender = await hooked(demo)
    answer = await sender.send({"type": "order.paid", "total": 5}, "msg_1")
    assert answer.status_code == 202, answer.text
    run = answer.json()["execution_id"]
    assert answer.headers["location"] == f"/api/v1{WORKFLOWS}/executions/{run}"
    done = await ended(demo, run)
    assert (done["status"], done["output_data"]) == ("completed", {"type": "order.paid", "total": 5})
    assert done["context"] == {"event": {"id": "msg_1", "type": "order.paid", "webhook": "webhook", "depth": 0}}


async def test_condition_and_input_see_body_and_headers(demo: httpx2.AsyncClient) -> None:
    workflow, sender = await hooked(
        demo,
        condition="$.event.headers['x-github-event'] == 'push' && $.event.data.n > 1",
        input={
            "n": "{event.data.n}",
            "event": "{event.headers.x-github-event}",
            "id": "{event.id}",
            "seen": "{event.headers}",
        },
    )
    skipped = await sender.send({"n": 1}, x_github_event="push")
    assert (skipped.status_code, skipped.json()) == (200, {"execution_id": None, "status": "skipped"})
    assert await runs(demo, workflow) == 0
    hidden = {"authorization": "Bearer x", "cookie": "a=b", "x_api_key": "k"}
    answer = await sender.send({"n": 2}, "msg_2", x_github_event="push", **hidden)
    assert answer.status_code == 202, answer.text
    given = (await ended(demo, answer.json()["execution_id"]))["input_data"]
    assert (given["n"], given["event"], given["id"]) == (2, "push", "msg_2")
    assert {"authorization", "cookie", "x-api-key", "webhook-signature", "x-forwarded-for"}.isdisjoint(given["seen"])


async def test_a_second_attempt_is_answered_alike_and_starts_nothing(demo: httpx2.AsyncClient) -> None:
    workflow, sender = await hooked(demo)
    now = int(time.time())
    first, replayed, retried = (
        await sender.send({"n": 1}, "msg_3", at=now), await sender.send({"n": 1}, "msg_3", at=now),
        await sender.send({"n": 1}, "msg_3", at=now + 1),
    )  # fmt: skip
    assert [answer.status_code for answer in (first, replayed, retried)] == [202] * 3
    assert len({answer.json()["execution_id"] for answer in (first, replayed, retried)}) == 1
    assert await runs(demo, workflow) == 1
    _, other = await hooked(demo)
    elsewhere = await other.send({"n": 1}, "msg_3")
    assert elsewhere.json()["execution_id"] != first.json()["execution_id"], "a webhook's ids are its own"


async def test_what_is_not_signed_as_it_should_be_is_refused(demo: httpx2.AsyncClient) -> None:
    workflow, sender = await hooked(demo)
    body, now = b'{"n":1}', int(time.time())
    signed = sender.signed(body, "msg_4", now)
    forger = Sender(sender.url, base64.b64encode(b"x" * 32).decode())
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:

        async def post(content: bytes, headers: dict[str, str]) -> tuple[int, str]:
            return refusal(await client.post(sender.url, content=content, headers={**JSON, **headers}))

        assert await post(body, {}) == (401, "webhook_unsigned")
        for name in signed:
            assert await post(body, {k: v for k, v in signed.items() if k != name}) == (401, "webhook_unsigned")
        assert await post(body + b" ", signed) == (401, "webhook_signature_wrong")
        assert await post(body, {**signed, "webhook-id": "msg_5"}) == (401, "webhook_signature_wrong")
        assert await post(body, {**signed, "webhook-timestamp": str(now + 1)}) == (401, "webhook_signature_wrong")
    assert refusal(await forger.send({"n": 1})) == (401, "webhook_signature_wrong")
    for away in (-301, -(10**6), 400):
        assert refusal(await sender.send({"n": 1}, at=now + away)) == (401, "webhook_timestamp_stale")
    assert await runs(demo, workflow) == 0


async def test_a_bearer_token_is_no_signature(demo: httpx2.AsyncClient) -> None:
    _, sender = await hooked(demo)
    path = sender.url.partition("/api/v1")[2]
    assert refusal(await demo.post(path, json={"n": 1})) == (401, "webhook_unsigned")


async def test_an_unknown_address_says_nothing(demo: httpx2.AsyncClient) -> None:
    _, sender = await hooked(demo)
    prefix, _, token = sender.url.rpartition("/")
    changed = ("A" if token[0] != "A" else "B") + token[1:]
    guesses = ["x", "A" * 43, token[:-1], token + "A", changed, "%00", "a" * 5000]
    answers = [await Sender(f"{prefix}/{guess}", "AAAA").send({"n": 1}) for guess in guesses]
    assert {refusal(answer) for answer in answers} == {(404, "webhook_not_found")}
    assert len({answer.json()["detail"] for answer in answers}) == 1
    # A body that could not be taken anyway is not even looked at.
    large = await Sender(f"{prefix}/{'A' * 43}", "AAAA").send(None, raw=b"[" + b"1," * 10**6 + b"1]")
    assert refusal(large) == (404, "webhook_not_found")


async def test_each_tenant_signs_with_its_own_key(demo: httpx2.AsyncClient, whole: Whole) -> None:
    slug = f"t{uuid4().hex[:10]}"
    owner = {"email": f"owner@{slug}.test", "password": "correct horse battery"}
    made = await demo.post("/tenants", json={"name": slug, "slug": slug, "owner": owner})
    assert made.status_code == 201, made.text
    workflow, sender = await hooked(demo)
    async with whole.client_for(slug) as stranger:
        for path in (f"{WORKFLOWS}/{workflow}/webhooks", f"{WORKFLOWS}/{workflow}/webhooks/webhook/rotate"):
            answer = await (stranger.post(path) if path.endswith("rotate") else stranger.get(path))
            assert refusal(answer) == (404, "workflow_not_found")
        theirs, own = await hooked(stranger)
        crossed = Sender(sender.url, "")
        crossed.key = own.key
        assert refusal(await crossed.send({"n": 1})) == (401, "webhook_signature_wrong")
        assert (await own.send({"n": 1})).status_code == 202
        assert await runs(stranger, theirs) == 1
    assert await runs(demo, workflow) == 0


async def test_a_rotated_key_is_refused_at_once_or_when_it_is_said(demo: httpx2.AsyncClient) -> None:
    workflow, sender = await hooked(demo)
    path = f"{WORKFLOWS}/{workflow}/webhooks/webhook/rotate"
    rotated = await demo.post(path)
    assert rotated.status_code == 200, rotated.text
    assert rotated.headers["x-event-position"].isdecimal()
    assert rotated.json()["url"] == sender.url
    second = Sender(sender.url, rotated.json()["signing_secret"])
    assert second.key != sender.key
    assert refusal(await sender.send({"n": 1})) == (401, "webhook_signature_wrong")
    assert (await second.send({"n": 1})).status_code == 202
    again = await demo.post(path, json={"previous_valid_seconds": 60})
    third = Sender(sender.url, again.json()["signing_secret"])
    assert again.json()["previous_valid_until"] is not None
    assert (await third.send({"n": 2})).status_code == 202
    assert (await second.send({"n": 3})).status_code == 202, "the key before is good for a minute"
    assert refusal(await sender.send({"n": 4})) == (401, "webhook_signature_wrong")
    assert (await hooks_of(demo, workflow))["webhook"]["signing_secret"] == again.json()["signing_secret"]
    assert refusal(await demo.post(f"{WORKFLOWS}/{workflow}/webhooks/other/rotate")) == (404, "webhook_not_found")
    assert refusal(await demo.post(path, json={"previous_valid_seconds": -1})) == (400, "invalid_input")
    assert refusal(await demo.post(path, json={"previous": 1})) == (400, "invalid_input")


async def test_only_an_active_workflow_with_the_trigger_is_started(demo: httpx2.AsyncClient) -> None:
    body = {"name": f"Draft {uuid4()}", "steps": [STEP], "triggers": [{"type": "webhook"}]}
    workflow = (await demo.post(WORKFLOWS, json=body)).json()["id"]
    hook = (await hooks_of(demo, workflow))["webhook"]
    sender = Sender(hook["url"], hook["signing_secret"])
    assert refusal(await sender.send({"n": 1})) == (409, "workflow_not_active")
    unsigned = Sender(hook["url"], "AAAA")
    assert refusal(await unsigned.send({"n": 1})) == (401, "webhook_signature_wrong"), (
        "what it is, only its senders know"
    )
    await demo.post(f"{WORKFLOWS}/{workflow}/activate")
    assert (await sender.send({"n": 1})).status_code == 202
    await demo.post(f"{WORKFLOWS}/{workflow}/archive")
    assert refusal(await sender.send({"n": 1})) == (409, "workflow_not_active")
    await demo.post(f"{WORKFLOWS}/{workflow}/activate")
    changed = await demo.patch(f"{WORKFLOWS}/{workflow}", json={"triggers": [{"type": "webhook", "name": "other"}]})
    assert changed.status_code == 200, changed.text
    assert refusal(await sender.send({"n": 1})) == (404, "webhook_not_found")
    assert (await hooks_of(demo, workflow)).keys() == {"other"}


@pytest.mark.parametrize(
    ("raw", "headers", "expected"),
    [
        (b"", {}, (400, "invalid_input")),
        (b"{", {}, (400, "invalid_input")),
        (b"\xff", {}, (400, "invalid_input")),
        (b"[" * 10_000 + b"]" * 10_000, {}, (400, "invalid_input")),
        (b'{"a": "\\u0000"}', {}, (400, "invalid_input")),
        (b"a=b", {"content_type": "application/x-www-form-urlencoded"}, (415, "unsupported_media_type")),
        (b"<a/>", {"content_type": "text/xml; charset=utf-8"}, (415, "unsupported_media_type")),
        (b'"' + b"x" * 2 * 1024 * 1024 + b'"', {}, (413, "too_large")),
        (b'{"n": 1}', {"content_type": "application/cloudevents+json"}, (202, "")),
        (b'{"n": 1}', {"content_type": "application/json; charset=utf-8"}, (202, "")),
    ],
)
async def test_bodies(demo: httpx2.AsyncClient, raw: bytes, headers: dict[str, str], expected: tuple[int, str]) -> None:
    _, sender = await hooked(demo)
    answer = await sender.send(None, raw=raw, **headers)
    assert answer.status_code == expected[0], answer.text
    assert answer.json().get("code", "") == expected[1]


async def test_an_input_that_cannot_be_is_refused_and_says_why(demo: httpx2.AsyncClient) -> None:
    _, sender = await hooked(demo, input="{event.data.order.id}")
    assert refusal(await sender.send({"n": 1})) == (422, "template_unresolved")
    schema = {"type": "object", "required": ["n"]}
    workflow = await active(demo, {"steps": [STEP], "triggers": [{"type": "webhook"}], "input_schema": schema})
    hook = (await hooks_of(demo, workflow))["webhook"]
    assert refusal(await Sender(hook["url"], hook["signing_secret"]).send({"m": 1})) == (422, "input_invalid")


async def test_nothing_secret_of_a_webhook_is_stored(demo: httpx2.AsyncClient, whole: Whole) -> None:
    workflow, sender = await hooked(demo)
    rotated = (await demo.post(f"{WORKFLOWS}/{workflow}/webhooks/webhook/rotate")).json()
    assert (await Sender(sender.url, rotated["signing_secret"]).send({"n": 1})).status_code == 202
    database = await asyncpg.connect(whole.platform.postgres_admin_dsn)
    for table in ("webhooks", "events", "workflows", "revisions", "idempotency_keys"):
        rows = await database.fetch(f"SELECT t::text AS text FROM workflow.{table} t")
        for row in rows:
            for secret in (rotated["token"], rotated["signing_secret"], rotated["signing_secret"][6:]):
                assert secret not in row["text"]
                assert secret.encode().hex() not in row["text"]
    await database.close()
