"""Signatures of webhooks: the specification's own example, and everything that is not one. And what is derived."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from uuid import UUID, uuid4

import pytest

from services.workflow.adapters.webhook_keys import DerivedWebhookKeys
from services.workflow.domain.standard_webhooks import Signed, signing_secret, verify
from services.workflow.domain.webhook_request import event_of, shown_headers
from services.workflow.errors import WebhookSignatureWrong, WebhookStale, WebhookUnsigned
from services.workflow.limits import MAX_WEBHOOK_HEADERS, MAX_WEBHOOK_SIGNATURES, WEBHOOK_TOLERANCE_S

# What the reference libraries of Standard Webhooks hold themselves against.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
BODY = b'{"test": 2432232314}'
ID, SECONDS = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
RIGHT = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {"webhook-id": ID, "webhook-timestamp": str(SECONDS), "webhook-signature": RIGHT}
MASTER = bytes(range(32))


def signed(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def test_the_example_of_the_specification_is_good() -> None:
    assert verify(HEADERS, BODY, [KEY], SECONDS) == Signed(ID, SECONDS)
    assert signing_secret(KEY) == SECRET


@pytest.mark.parametrize(
    "given",
    [
        f"v1,AAAA {RIGHT}",
        f"v1a,{RIGHT[3:]} {RIGHT}",
        f"{RIGHT} v1,",
        " ".join(["v1,AAAA"] * (MAX_WEBHOOK_SIGNATURES - 1) + [RIGHT]),
    ],
)
def test_one_good_signature_among_others_suffices(given: str) -> None:
    assert verify({**HEADERS, "webhook-signature": given}, BODY, [KEY], SECONDS).id == ID


def test_the_key_before_is_looked_at_too() -> None:
    assert verify(HEADERS, BODY, [b"new", KEY], SECONDS).id == ID


@pytest.mark.parametrize(
    ("headers", "body", "keys"),
    [
        ({**HEADERS, "webhook-signature": RIGHT[:-1]}, BODY, [KEY]),
        ({**HEADERS, "webhook-signature": RIGHT[3:]}, BODY, [KEY]),
        ({**HEADERS, "webhook-signature": "v2" + RIGHT[2:]}, BODY, [KEY]),
        ({**HEADERS, "webhook-signature": RIGHT.replace(" ", "")[:3] + "ä" * 44}, BODY, [KEY]),
        ({**HEADERS, "webhook-signature": " ".join(["v1,A"] * MAX_WEBHOOK_SIGNATURES + [RIGHT])}, BODY, [KEY]),
        ({**HEADERS, "webhook-id": "msg_other"}, BODY, [KEY]),
        ({**HEADERS, "webhook-timestamp": str(SECONDS + 1)}, BODY, [KEY]),
        (HEADERS, BODY + b" ", [KEY]),
        (HEADERS, b"", [KEY]),
        (HEADERS, BODY, [KEY[:-1]]),
        (HEADERS, BODY, []),
    ],
)
def test_whatever_is_not_signed_so_is_refused(headers: Mapping[str, str], body: bytes, keys: list[bytes]) -> None:
    with pytest.raises(WebhookSignatureWrong):
        verify(headers, body, keys, SECONDS)


@pytest.mark.parametrize("away", [-WEBHOOK_TOLERANCE_S, WEBHOOK_TOLERANCE_S])
def test_a_time_that_is_hardly_away_is_good(away: int) -> None:
    assert verify(HEADERS, BODY, [KEY], SECONDS + away).timestamp == SECONDS


@pytest.mark.parametrize("away", [-WEBHOOK_TOLERANCE_S - 1, WEBHOOK_TOLERANCE_S + 1, 10**9])
def test_a_time_that_is_far_away_is_refused_only_if_it_is_signed(away: int) -> None:
    with pytest.raises(WebhookStale):
        verify(HEADERS, BODY, [KEY], SECONDS + away)
    with pytest.raises(WebhookSignatureWrong):
        verify({**HEADERS, "webhook-signature": "v1,AAAA"}, BODY, [KEY], SECONDS + away)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(WebhookUnsigned) as caught:
        verify({key: value for key, value in HEADERS.items() if key != name}, BODY, [KEY], SECONDS)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "with.dot"),
        ("webhook-id", "with space"),
        ("webhook-id", "x" * 256),
        ("webhook-id", "msg\n"),
        ("webhook-id", "mäg"),
        ("webhook-timestamp", "1614265330.0"),
        ("webhook-timestamp", "-1614265330"),
        ("webhook-timestamp", "²"),
        ("webhook-timestamp", "9" * 13),
        ("webhook-timestamp", "1614265330\n"),
    ],
)
def test_a_malformed_header_is_refused_though_it_is_signed(name: str, value: str) -> None:
    headers = {**HEADERS, name: value}
    headers["webhook-signature"] = signed(KEY, headers["webhook-id"], headers["webhook-timestamp"], BODY)
    with pytest.raises(WebhookUnsigned):
        verify(headers, BODY, [KEY], SECONDS)


def test_a_token_names_its_webhook_and_a_changed_one_nobody() -> None:
    keys, webhook = DerivedWebhookKeys(MASTER), uuid4()
    token = keys.token(webhook)
    assert keys.webhook_of(token) == webhook
    assert DerivedWebhookKeys(bytes(32)).webhook_of(token) is None
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert keys.webhook_of(changed) is None


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 42, "ä" * 43, "!" * 43, "A" * 10_000, "A" * 42 + "="])
def test_what_is_no_token_is_nobodys(token: str) -> None:
    assert DerivedWebhookKeys(MASTER).webhook_of(token) is None


def test_keys_differ_by_webhook_version_and_master_key_and_are_the_same_each_time() -> None:
    one, other = UUID(int=1), UUID(int=2)
    made = [
        DerivedWebhookKeys(master).signing_key(webhook, version)
        for master in (MASTER, bytes(32)) for webhook in (one, other) for version in (1, 2)
    ]  # fmt: skip
    assert len({*made}) == 8
    assert all(len(key) == 32 for key in made)
    assert DerivedWebhookKeys(MASTER).signing_key(one, 1) == made[0]


def test_headers_are_seen_but_no_credential_and_no_proxy() -> None:
    seen = {"content-type": "application/json", "webhook-id": "m", "x-github-event": "push", "ce-type": "a"}
    hidden = {
        "authorization": "Bearer x", "cookie": "a=b", "webhook-signature": "v1,x", "x-api-key": "k", "x-auth": "a",
        "x-hub-signature-256": "s", "x-forwarded-for": "10.0.0.1", "x-real-ip": "10.0.0.1", "host": "h", "accept": "*",
        "x-long": "x" * 1_001, "x-csrf-token": "t",
    }  # fmt: skip
    assert shown_headers({**hidden, **seen}) == seen
    assert len(shown_headers({f"x-{n:03}": "" for n in range(100)})) == MAX_WEBHOOK_HEADERS


@pytest.mark.parametrize(
    ("data", "kind"), [({"type": "order.paid"}, "order.paid"), ({"type": 1}, None), ([], None), (None, None)]
)
def test_an_event_has_the_type_of_its_body(data: object, kind: str | None) -> None:
    assert event_of("m", "2026-01-01T00:00:00Z", {}, data)["type"] == kind
