"""Addresses and signing keys of webhooks, derived from the service's master key: nothing secret is stored."""

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

from shared.keys import derive

_SERVICE = "workflow"
_ID_BYTES = 16
_TAG_BYTES = 16
_TOKEN_CHARS = 43  # 32 bytes in base64 without padding


class DerivedWebhookKeys:
    """`WebhookKeys`. A token is the webhook's id with a tag over it: a guessed one never reaches the database."""

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key
        self._tag_key = derive(master_key, _SERVICE, "webhook-tokens")

    def token(self, webhook_id: UUID) -> str:
        """Return the last part of a webhook's address: 43 characters of base64url."""
        return base64.urlsafe_b64encode(webhook_id.bytes + self._tag(webhook_id.bytes)).rstrip(b"=").decode()

    def webhook_of(self, token: str) -> UUID | None:
        """Return whose token it is, None if this key made no such token."""
        if len(token) != _TOKEN_CHARS or not token.isascii():
            return None
        try:
            raw = base64.b64decode(token + "=", altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        webhook_id = UUID(bytes=raw[:_ID_BYTES])
        return webhook_id if hmac.compare_digest(token, self.token(webhook_id)) else None

    def signing_key(self, webhook_id: UUID, version: int) -> bytes:
        """Return 32 bytes."""
        return derive(self._master_key, _SERVICE, f"webhook-signing/{webhook_id}/{version}")

    def _tag(self, raw: bytes) -> bytes:
        return hmac.new(self._tag_key, raw, hashlib.sha256).digest()[:_TAG_BYTES]
