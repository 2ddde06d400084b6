"""The operator's proof: commands that hand out credentials are signed with the operator's nkey.

The platform's own NATS server lets only the operator publish them. A server that a deployment brings along may let
anybody, so the receiver asks for a signature as well.
"""

import base64
import os
import time
from typing import Annotated

import msgspec
import nkeys
from cryptography.exceptions import InvalidSignature

from shared.auth.limits import PROOF_S
from shared.auth.nkey import public_nkey
from shared.errors import Unauthenticated

ISSUE_TOKEN_SUBJECT = "commands.tenant.issue-token"  # noqa: S105 — a subject
_NONCE_BYTES = 16


class IssueToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask for a token with an owner's scopes in the tenant with this slug.

    `issued_at` is in Unix seconds, `signature` the base64 of an Ed25519 signature over all the rest and the subject.
    """

    tenant: Annotated[str, msgspec.Meta(max_length=63)]
    issued_at: int
    nonce: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
    signature: Annotated[str, msgspec.Meta(max_length=88)]


def sign_issue_token(seed: str, tenant: str) -> IssueToken:
    """Return the command, signed with the operator's nkey seed (`SU…`) and good for a minute."""
    issued_at, nonce = int(time.time()), os.urandom(_NONCE_BYTES).hex()
    signature = nkeys.from_seed(bytearray(seed.encode())).sign(_signed(tenant, issued_at, nonce))
    return IssueToken(tenant, issued_at, nonce, base64.b64encode(signature).decode())


class OperatorKey:
    """The public half of the operator's nkey."""

    def __init__(self, public: str) -> None:
        """Read `U…`. Raises `SettingsInvalid` for what is no public key of an nkey user."""
        self._key = public_nkey(public, "AGENTIC_TENANT_OPERATOR_KEY")

    def check(self, command: IssueToken, now: float) -> None:
        """Raise `Unauthenticated` unless the operator signed this, less than a minute from `now` (Unix seconds)."""
        try:
            signature = base64.b64decode(command.signature, validate=True)
            self._key.verify(signature, _signed(command.tenant, command.issued_at, command.nonce))
        except (InvalidSignature, ValueError) as error:
            raise Unauthenticated("This is not signed with the operator's key.") from error
        if abs(now - command.issued_at) > PROOF_S:
            raise Unauthenticated(f"This was signed more than {PROOF_S} seconds ago, or a clock is wrong.")


def _signed(tenant: str, issued_at: int, nonce: str) -> bytes:
    return msgspec.json.encode([ISSUE_TOKEN_SUBJECT, tenant, issued_at, nonce])
