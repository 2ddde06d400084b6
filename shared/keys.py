"""Keys for one purpose each, derived from a service's master key (HKDF, RFC 5869)."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


def derive(master_key: bytes, service: str, purpose: str) -> bytes:
    """Return 32 bytes that are of no use for any other purpose, and tell nothing of the master key."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"agentic-platform/{service}/{purpose}".encode()).derive(
        master_key
    )
