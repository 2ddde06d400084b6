"""The nkeys of NATS users: made once, kept as seeds that only the owner of the data directory can read."""

import os
from pathlib import Path

import nkeys

from infra.local.keys import write_secret

_SEED_BYTES = 32
CALLOUT_ISSUER = "callout-issuer"
SECRETS_READERS = ("mcp_gateway", "workflow")


class Credentials:
    """Seeds below `folder`, a file each: the users by name, and the account key that signs the callout's users."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def seed(self, name: str) -> str:
        """Return the seed (`SU…`, or `SA…` for the issuer), made at the first call."""
        file = self._folder / f"{name}.nk"
        if not file.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            prefix = nkeys.PREFIX_BYTE_ACCOUNT if name == CALLOUT_ISSUER else nkeys.PREFIX_BYTE_USER
            write_secret(file, nkeys.encode_seed(os.urandom(_SEED_BYTES), prefix).decode())
        return file.read_text().strip()

    def public(self, name: str) -> str:
        """Return the public key of that seed (`U…` or `A…`)."""
        key: bytes = nkeys.from_seed(bytearray(self.seed(name).encode())).public_key
        return key.decode()

    def secrets_seed(self, service: str) -> str:
        """Return the seed that a service signs its questions for secrets with.

        It is not the one that the service shows to NATS: of that the server chooses what is signed.
        """
        return self.seed(_secrets_reader(service))

    def secrets_readers(self) -> str:
        """Return the public keys of those who may ask for secrets, separated by commas."""
        return ",".join(self.public(_secrets_reader(service)) for service in SECRETS_READERS)


def _secrets_reader(service: str) -> str:
    return f"secrets-reader-{service}"
