"""Tokens of the NATS server's authorisation callout: what it asks, and the signed answers.

The format is that of the server's `auth_callout`: JWTs with `alg: ed25519-nkey`. The question is not verified: only
the server itself and the operator may publish to its subject.
"""

import base64
import hashlib
import time
from typing import Any

import msgspec
import nkeys

from services.tenant.app.connections import Admission
from shared.errors import InvalidInput

_HEADER = b'{"typ":"JWT","alg":"ed25519-nkey"}'
_ANYTHING = ">"


class _Options(msgspec.Struct):
    auth_token: str | None = None


class _Server(msgspec.Struct):
    id: str


class _Nats(msgspec.Struct):
    server_id: _Server
    user_nkey: str
    connect_opts: _Options


class _Claims(msgspec.Struct):
    nats: _Nats


class Question(msgspec.Struct, frozen=True):
    """Who wants in: the server that asks, the one-time key of the connection, and the token that was shown."""

    server_id: str
    user_key: str
    token: str | None


def read_question(body: bytes) -> Question:
    """Return what the server asks. Raises `InvalidInput` if this is no authorisation request."""
    try:
        _, claims, _ = body.split(b".")
        asked = msgspec.json.decode(base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)), type=_Claims).nats
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput("This is no authorisation request.") from error
    return Question(asked.server_id.id, asked.user_nkey, asked.connect_opts.auth_token)


class UserIssuer:
    """Signs answers with the key of the account that the server trusts."""

    def __init__(self, seed: str, account: str) -> None:
        self._key = nkeys.from_seed(bytearray(seed.encode()))
        self._issuer = self._key.public_key.decode()
        self._account = account

    def admit(self, question: Question, admission: Admission) -> bytes:
        """Return the answer that lets the connection in, with just these subjects."""
        user = {
            "type": "user",
            "version": 2,
            "subs": -1,
            "data": -1,
            "payload": -1,
            "pub": _permission(admission.publish),
            "sub": _permission(admission.subscribe),
        }
        claims = {
            "aud": self._account,
            "sub": question.user_key,
            "name": str(admission.tenant_id),
            "exp": admission.expires_at,
            "nats": user,
        }
        return self._answer(question, {"jwt": self._sign(claims)})

    def refuse(self, question: Question, why: str) -> bytes:
        """Return the answer that closes the connection; the server logs `why` and does not pass it on."""
        return self._answer(question, {"error": why})

    def _answer(self, question: Question, answer: dict[str, str]) -> bytes:
        nats = {"type": "authorization_response", "version": 2, **answer}
        return self._sign({"aud": question.server_id, "sub": question.user_key, "nats": nats}).encode()

    def _sign(self, claims: dict[str, Any]) -> str:
        claims = {**claims, "iss": self._issuer, "iat": int(time.time())}
        digest = hashlib.sha256(msgspec.json.encode(claims, order="deterministic")).digest()
        claims["jti"] = base64.b32encode(digest).rstrip(b"=").decode()
        signed = _base64url(_HEADER) + b"." + _base64url(msgspec.json.encode(claims))
        return (signed + b"." + _base64url(self._key.sign(signed))).decode()


def _permission(subjects: tuple[str, ...]) -> dict[str, list[str]]:
    # An empty allow-list allows everything.
    return {"allow": list(subjects)} if subjects else {"deny": [_ANYTHING]}


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
