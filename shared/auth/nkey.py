"""Public nkeys: Ed25519 keys as NATS writes them."""

import base64
import binascii

import nkeys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.settings import SettingsInvalid

_KEY_BYTES = 1 + 32 + 2  # prefix, Ed25519 key, checksum


def public_nkey(public: str, setting: str) -> Ed25519PublicKey:
    """Read `U…`, the value of a setting. Raises `SettingsInvalid` for what is no public key of an nkey user."""
    try:
        raw = base64.b32decode(public)
    except ValueError:
        raw = b""
    checked = raw[:-2]
    good = len(raw) == _KEY_BYTES and raw[0] == nkeys.PREFIX_BYTE_USER
    if not good or binascii.crc_hqx(checked, 0) != int.from_bytes(raw[-2:], "little"):
        raise SettingsInvalid(f"{setting} is no public nkey of a user: they look like `U…`.")
    return Ed25519PublicKey.from_public_bytes(checked[1:])
