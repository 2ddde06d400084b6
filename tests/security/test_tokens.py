"""Tokens that the tenant service did not sign, or not for now: each is a 401, whatever is wrong with it."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.auth import verifier
from shared.auth.verifier import VerifiedKey, Verifier
from shared.errors import Unauthenticated, Unavailable
from shared.http.problems import STATUSES

TENANT, USER = UUID(int=1), UUID(int=2)
SIGNING, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
RSA = generate_private_key(65537, 2048)
NOW = int(time.time())
CLAIMS: dict[str, Any] = {
    "iss": "agentic-platform",
    "sub": str(USER),
    "tid": str(TENANT),
    "scope": "mcp:read",
    "iat": NOW,
    "exp": NOW + 3600,
}


def jwk(kid: str, public: Ed25519PublicKey) -> dict[str, str]:
    raw = base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": raw, "kid": kid, "alg": "EdDSA", "use": "sig"}


class Published:
    """The tenant service: some keys, and no API key that is good."""

    def __init__(self, *keys: dict[str, str]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.away = False

    async def jwks(self) -> list[dict[str, Any]]:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        return list(self.keys)

    async def verify_api_key(self, _: str) -> VerifiedKey:
        raise Unauthenticated("no")


def ours() -> Published:
    return Published(jwk("ours", SIGNING.public_key()), jwk("other", OTHER.public_key()))


def token(key: Any = SIGNING, algorithm: str = "EdDSA", kid: str | None = "ours", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid} if kid else {})


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: object, payload: object = None, signature: bytes | None = None) -> str:
    """Return a token as it stands, signed with our key where no signature is given."""
    signed = f"{encoded(header)}.{encoded(CLAIMS if payload is None else payload)}"
    return f"{signed}.{encoded(SIGNING.sign(signed.encode()) if signature is None else signature)}"


def hmac_with(public: bytes) -> str:
    """Return a token whose MAC is made with the public key: good for whoever lets the token choose the algorithm."""
    signed = f"{encoded({'alg': 'HS256', 'kid': 'ours', 'typ': 'JWT'})}.{encoded(CLAIMS)}"
    return f"{signed}.{encoded(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def tampered(**changes: Any) -> str:
    head, _, signature = token().split(".")
    return f"{head}.{encoded({**CLAIMS, **changes})}.{signature}"


PUBLIC = SIGNING.public_key()
EDDSA = {"alg": "EdDSA", "kid": "ours", "typ": "JWT"}
FORGED: dict[str, Callable[[], str]] = {
    "no algorithm": lambda: by_hand({"alg": "none", "kid": "ours"}, signature=b""),
    "no algorithm, in capitals": lambda: by_hand({"alg": "NONE", "kid": "ours"}, signature=b""),
    "no algorithm, but a good signature": lambda: by_hand({"alg": "none", "kid": "ours"}),
    "no algorithm named": lambda: by_hand({"kid": "ours"}),
    "a MAC with the public key": lambda: hmac_with(PUBLIC.public_bytes_raw()),
    "a MAC with its PEM": lambda: hmac_with(PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    "a MAC with its JWK": lambda: hmac_with(jwk("ours", PUBLIC)["x"].encode()),
    "a MAC with nothing": lambda: hmac_with(b""),
    "RSA": lambda: token(RSA, "RS256"),
    "another's key under our name": lambda: token(Ed25519PrivateKey.generate()),
    "our key under another's name": lambda: token(kid="other"),
    "a name that nobody has": lambda: token(kid="nobody"),
    "no name": lambda: token(kid=None),
    "a name that is a path": lambda: token(kid="../../../dev/null"),
    "a name that is no text": lambda: by_hand({"alg": "EdDSA", "kid": ["ours"]}),
    "a key of its own in the header": lambda: by_hand(
        {"alg": "EdDSA", "kid": "mine", "jwk": jwk("mine", OTHER.public_key())}
    ),
    "a place to fetch the key from": lambda: by_hand({"alg": "EdDSA", "kid": "mine", "jku": "https://evil.test/jwks"}),
    "an extension that must be understood": lambda: by_hand({**EDDSA, "crit": ["exp"]}),
    "a payload that is elsewhere": lambda: by_hand({**EDDSA, "b64": False, "crit": ["b64"]}),
    "expired": lambda: token(exp=NOW - 1),
    "without an end": lambda: token(exp=None),
    "without a beginning": lambda: token(iat=None),
    "from the future": lambda: token(iat=NOW + 7200),
    "not yet good": lambda: token(nbf=NOW + 7200),
    "an end that is no time": lambda: token(exp="never"),
    "another issuer": lambda: token(iss="somebody-else"),
    "no issuer": lambda: token(iss=None),
    "no tenant": lambda: token(tid=None),
    "a tenant that is no id": lambda: token(tid="*"),
    "a tenant that is a number": lambda: token(tid=1),
    "no user": lambda: token(sub=None),
    "another tenant written in": lambda: tampered(tid=str(UUID(int=9))),
    "more scopes written in": lambda: tampered(scope="tenants:admin"),
    "a later end written in": lambda: tampered(exp=NOW + 10**6),
    "the signature of another": lambda: token().rpartition(".")[0] + "." + token(sub="x").rpartition(".")[2],
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "half a signature": lambda: token()[:-40],
    "two parts": lambda: token().rpartition(".")[0],
    "four parts": lambda: token() + ".x",
    "a header that is no object": lambda: by_hand([]),
    "a payload that is no object": lambda: by_hand(EDDSA, []),
    "a header too deep": lambda: by_hand(b"[" * 2500),
    "a payload too deep": lambda: by_hand(EDDSA, b"[" * 2500),
    "bytes that are no text": lambda: by_hand(b"\xff\xfe"),
    "letters that are not ASCII": lambda: "é.ü.ß",
    "a NUL": lambda: token() + "\x00",
    "nothing": lambda: "",
    "dots": lambda: "..",
    "too long": lambda: token(scope="x" * 10_000),
    "a key of no known form": lambda: "ap_",
}


async def test_ours_is_taken_as_it_stands() -> None:
    scope = await Verifier(ours()).verify(token())
    assert (scope.tenant_id, scope.actor, scope.scopes) == (TENANT, f"user:{USER}", {"mcp:read"})


@pytest.mark.parametrize("name", FORGED)
async def test_whatever_is_forged_is_refused_and_asked_about_once(name: str) -> None:
    authority = ours()
    one = Verifier(authority)
    for _ in range(2):
        with pytest.raises(Unauthenticated) as refusal:
            await one.verify(FORGED[name]())
        assert STATUSES[refusal.value.code] == 401
        assert not any(word in refusal.value.message for word in ("ours", "kid", "alg", "signature"))
    assert authority.asked <= 1
    assert (await one.verify(token())).tenant_id == TENANT


async def test_a_token_that_was_remembered_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Verifier(ours())
    now = time.time()  # the module was read long before the test runs
    short = token(exp=int(now) + 20)
    assert (await one.verify(short)).tenant_id == TENANT
    monkeypatch.setattr(verifier.time, "time", lambda: now + 21.0)
    monkeypatch.setattr(verifier.jwt, "decode", _expired)
    with pytest.raises(Unauthenticated, match="expired"):
        await one.verify(short)


def _expired(*_: object, **__: object) -> None:
    raise jwt.ExpiredSignatureError


async def test_a_key_that_is_taken_away_is_forgotten_and_a_new_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(verifier.time, "monotonic", lambda: now)
    authority = ours()
    one = Verifier(authority)
    assert await one.verify(token(jti="1"))
    authority.keys = [jwk("new", OTHER.public_key())]
    with pytest.raises(Unauthenticated):
        await one.verify(token(OTHER, kid="new"))  # within the second that a flood of unknown names would fill
    assert await one.verify(token(jti="2"))
    now += verifier.JWKS_MAX_AGE_S + 1
    with pytest.raises(Unauthenticated):
        await one.verify(token(jti="3"))
    assert await one.verify(token(OTHER, kid="new"))


async def test_while_the_tenant_service_is_away_known_keys_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(verifier.time, "monotonic", lambda: now)
    authority = ours()
    one = Verifier(authority)
    assert await one.verify(token(jti="1"))
    authority.away = True
    now += verifier.JWKS_MAX_AGE_S + 1
    for number in range(5):
        assert await one.verify(token(jti=str(number + 2)))
    assert authority.asked == 2
    now += verifier.JWKS_RETRY_S + 1
    assert await one.verify(token(jti="9"))
    assert authority.asked == 3
