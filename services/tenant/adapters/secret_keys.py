"""Keys for one purpose each, derived from the master key, and what is done with them."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.keys import derive as derive_for
from shared.settings import SettingsInvalid

_NONCE_BYTES = 12  # NIST SP 800-38D §5.2.1.1


def derive(master_key: bytes, purpose: str) -> bytes:
    """Return 32 bytes that are of no use for any other purpose."""
    return derive_for(master_key, "tenant", purpose)


class HmacDigester:
    """`SecretDigester`: HMAC-SHA256, so that a stolen table does not even tell whether a guess is right."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, secret: str) -> bytes:
        """Return 32 bytes."""
        return hmac.new(self._key, secret.encode(), hashlib.sha256).digest()


class Wrapping:
    """AES-256-GCM. The associated data binds a ciphertext to its name: swapped rows do not open."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def wrap(self, secret: bytes, name: str) -> bytes:
        """Return nonce and ciphertext."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def unwrap(self, wrapped: bytes, name: str) -> bytes:
        """Return the secret. Raises `SettingsInvalid` under another master key."""
        try:
            return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], name.encode())
        except InvalidTag as error:
            raise SettingsInvalid(
                "AGENTIC_TENANT_MASTER_KEY is not the key that this database's signing keys are wrapped with."
            ) from error
