"""Keys for one purpose each, derived from the master key, and what is done with them."""

import hashlib
import hmac
import os
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.keys import derive as derive_for
from shared.settings import SettingsInvalid

_NONCE_BYTES = 12  # NIST SP 800-38D §5.2.1.1


def derive(master_key: bytes, purpose: str) -> bytes:
    """Return 32 bytes that are of no use for any other purpose."""
    return derive_for(master_key, "tenant", purpose)


class HmacDigester:
    """`SecretDigester`: HMAC-SHA256, so that a stolen table does not even tell whether a guess is right.

    Of several keys the first is the one in use; the others are of master keys that were in use before.
    """

    def __init__(self, *keys: bytes) -> None:
        self._keys = keys

    def __call__(self, secret: str) -> bytes:
        """Return 32 bytes."""
        return self.every(secret)[0]

    def every(self, secret: str) -> list[bytes]:
        """Return the digests under all keys, that of the key in use first."""
        return [hmac.new(key, secret.encode(), hashlib.sha256).digest() for key in self._keys]


class Sealed(Exception):
    """This was not encrypted under this key and name, or was changed since."""


class Cipher:
    """AES-256-GCM. The associated data binds a ciphertext to its name: swapped rows do not open."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def encrypt(self, secret: bytes, name: str) -> bytes:
        """Return nonce and ciphertext."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, name.encode())

    def decrypt(self, encrypted: bytes, name: str) -> bytes:
        """Return the secret. Raises `Sealed`."""
        try:
            return self._aead.decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise Sealed from error


class Wrapping:
    """Encrypts keys under a key derived from the master key.

    Of several keys the first is the one in use; the others are of master keys that were in use before.
    """

    def __init__(self, *keys: bytes) -> None:
        self._ciphers = [Cipher(key) for key in keys]

    @property
    def changing(self) -> bool:
        """Whether there may be something that a former master key wrapped."""
        return len(self._ciphers) > 1

    def wrap(self, secret: bytes, name: str) -> bytes:
        """Return nonce and ciphertext."""
        return self._ciphers[0].encrypt(secret, name)

    def unwrap(self, wrapped: bytes, name: str) -> bytes:
        """Return the secret. Raises `SettingsInvalid` under another master key."""
        for cipher in self._ciphers:
            with suppress(Sealed):
                return cipher.decrypt(wrapped, name)
        raise SettingsInvalid(
            "None of the keys in AGENTIC_TENANT_MASTER_KEY is the one that this database's keys are wrapped with."
        )

    def rewrapped(self, wrapped: bytes, name: str) -> bytes | None:
        """Return the same secret under the key in use; None if that wrapped it. Raises `SettingsInvalid`."""
        try:
            self._ciphers[0].decrypt(wrapped, name)
        except Sealed:
            return self.wrap(self.unwrap(wrapped, name), name)
        return None
