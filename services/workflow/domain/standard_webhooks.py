"""Verification of signed requests by Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), symmetric scheme.

`webhook-signature` holds `v1,<base64>` entries, split by spaces; one must be the HMAC-SHA256 of
`<webhook-id>.<webhook-timestamp>.<body>` under a key. Keys are shown as `whsec_<base64>`.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

import msgspec

from services.workflow.errors import WebhookSignatureWrong, WebhookStale, WebhookUnsigned
from services.workflow.limits import MAX_WEBHOOK_ID_CHARS, MAX_WEBHOOK_SIGNATURES, WEBHOOK_TOLERANCE_S

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets of this kind begin
_VERSION = "v1,"
# Without dots, so that id, time and body can be told apart in what is signed.
_ID = re.compile(rf"[!-\-/-~]{{1,{MAX_WEBHOOK_ID_CHARS}}}\Z")
_SECONDS = re.compile(r"[0-9]{1,12}\Z")


class Signed(msgspec.Struct, frozen=True):
    """What a signature vouches for beside the body: the message's id, the same in each attempt, and Unix seconds."""

    id: str
    timestamp: int


def signing_secret(key: bytes) -> str:
    """Return a key as it is given to senders."""
    return _SECRET_PREFIX + base64.b64encode(key).decode()


def verify(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> Signed:
    """Return what is vouched for. Raises `WebhookUnsigned`, `WebhookSignatureWrong`, `WebhookStale`.

    `headers` has lower-case names. Every entry is compared with every key, in constant time each; the time is looked at
    only in what is signed, so that it tells nothing to anybody else.
    """
    message_id, timestamp, given = headers.get(ID, ""), headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not _ID.match(message_id) or not _SECONDS.match(timestamp) or not given:
        raise WebhookUnsigned(
            f"A request to a webhook has the headers {ID} (no dots), {TIMESTAMP} (Unix seconds) and {SIGNATURE} "
            "(v1,<base64>), as Standard Webhooks has them."
        )
    signed = f"{message_id}.{timestamp}.".encode() + body
    good = False
    entries = [entry.encode() for entry in given.split(" ")[:MAX_WEBHOOK_SIGNATURES]]
    for key in keys:
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        expected = _VERSION.encode() + base64.b64encode(digest)
        for entry in entries:
            good |= hmac.compare_digest(expected, entry)
    if not good:
        raise WebhookSignatureWrong("None of the signatures is one of this request by the webhook's key.")
    seconds = int(timestamp)
    if abs(now - seconds) > WEBHOOK_TOLERANCE_S:
        raise WebhookStale(
            f"{TIMESTAMP} is more than {WEBHOOK_TOLERANCE_S} seconds away from the time here: sign again."
        )
    return Signed(message_id, seconds)
