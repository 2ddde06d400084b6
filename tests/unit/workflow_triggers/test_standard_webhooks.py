"""Signatures of webhooks: the specification's own example, and everything that is not one."""

import base64
import hashlib
import hmac
from uuid import UUID, uuid4

import pytest

from services.workflow.adapters.webhook_keys import DerivedWebhookKeys
from services.workflow.domain.standard_webhooks import Signed, signing_secret, verify
from services.workflow.domain.webhook_request import event_of, shown_headers
from services.workflow.errors import WebhookSignatureWrong, WebhookStale, WebhookUnsigned
from services.workflow.limits import MAX_WEBHOOK_HEADERS, WEBHOOK_TOLERANCE_S

# From the reference libraries of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
BODY = b'{"test": 2432232314}'
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTt/tmKtSyEyNlE6uFNxcXLHfiI3stuVhVGKcIDWpVLf".replace("stuVhVGKcIDWpVLf", ""),
}
NOW = 1614265330.5
MASTER = bytes(range(32))
