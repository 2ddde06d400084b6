"""How a service asks the tenant service for secrets: `queries.tenant.secrets.resolve`.

The question is signed with a key that the tenant service knows, since a NATS server that a deployment brings along may
let anybody ask. The answer is sealed to a one-time key of the question: whoever hears both, or repeats the question,
reads nothing.
"""

import base64
import os
import time
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
import nkeys
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.auth.limits import PROOF_S
from shared.auth.nkey import public_nkey
from shared.errors import InvalidInput, Unauthenticated
from shared.limits import SECRET_NAMES_ASKED_MAX
from shared.settings import SettingsInvalid

RESOLVE_SUBJECT = "queries.tenant.secrets.resolve"
_KEY_BYTES = 32
_NONCE_BYTES = 12  # NIST SP 800-38D §5.2.1.1
_INFO = b"agentic-platform/secrets/answer"


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask for a tenant's secrets of these names.

    `issued_at` is in Unix seconds, `key` an X25519 public key that is used once, `reader` the public nkey of the
    service that asks, `signature` an Ed25519 signature over all the rest and the subject.
    """

    tenant_id: UUID
    names: Annotated[list[Annotated[str, msgspec.Meta(max_length=63)]], msgspec.Meta(max_length=SECRET_NAMES_ASKED_MAX)]
    issued_at: int
    key: bytes
    reader: Annotated[str, msgspec.Meta(max_length=64)]
    signature: bytes


class Refusal(msgspec.Struct, frozen=True):
    """Why there is no answer."""

    code: str
    message: str


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`sealed` holds the values by name, of those names that there are; or `error` says why it does not."""

    sealed: bytes = b""
    error: Refusal | None = None


class Asker:
    """Makes one question and reads its answer."""

    def __init__(self, signer: nkeys.KeyPair, tenant_id: UUID, names: Sequence[str]) -> None:
        self._private = X25519PrivateKey.generate()
        reader: bytes = signer.public_key
        unsigned = Question(
            tenant_id,
            list(names),
            int(time.time()),
            self._private.public_key().public_bytes_raw(),
            reader.decode(),
            b"",
        )
        self.question = msgspec.structs.replace(unsigned, signature=signer.sign(_signed(unsigned)))

    def open(self, sealed: bytes) -> dict[str, str]:
        """Return the values. Raises `InvalidInput` for what was not sealed as the answer to this question."""
        theirs, ciphertext = sealed[:_KEY_BYTES], sealed[_KEY_BYTES:]
        try:
            key = _shared_key(self._private, theirs, theirs + self.question.key)
            nonce, rest = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
            opened = AESGCM(key).decrypt(nonce, rest, _signed(self.question))
            return msgspec.msgpack.decode(opened, type=dict[str, str])
        except (InvalidTag, ValueError, msgspec.MsgspecError) as error:
            raise InvalidInput("This is no answer to the question.") from error


def seal(question: Question, values: dict[str, str]) -> bytes:
    """Return the values so that only who made the question can read them. Raises `InvalidInput` for a bad key."""
    private = X25519PrivateKey.generate()
    ours = private.public_key().public_bytes_raw()
    try:
        key = _shared_key(private, question.key, ours + question.key)
    except ValueError as error:
        raise InvalidInput("The question's key is none.") from error
    nonce = os.urandom(_NONCE_BYTES)
    return ours + nonce + AESGCM(key).encrypt(nonce, msgspec.msgpack.encode(values), _signed(question))


class Readers:
    """The services that may ask, by their public nkeys."""

    def __init__(self, public: Sequence[str], setting: str) -> None:
        """Raises `SettingsInvalid` for what is no public key of an nkey user."""
        self._keys: dict[str, Ed25519PublicKey] = {key: public_nkey(key, setting) for key in public}

    def check(self, question: Question, now: float) -> None:
        """Raise `Unauthenticated` unless one of them signed this, less than a minute from `now` (Unix seconds)."""
        key = self._keys.get(question.reader)
        if key is None:
            raise Unauthenticated("Whoever asks is not among those who may.")
        try:
            key.verify(question.signature, _signed(question))
        except InvalidSignature as error:
            raise Unauthenticated("The question is not signed with the key that it names.") from error
        if abs(now - question.issued_at) > PROOF_S:
            raise Unauthenticated(f"This was signed more than {PROOF_S} seconds ago, or a clock is wrong.")


def reader_key(seed: str, setting: str) -> nkeys.KeyPair:
    """Read the seed (`SU…`) that a service signs its questions with. Raises `SettingsInvalid`."""
    try:
        pair = nkeys.from_seed(bytearray(seed.encode()))
        public_nkey(pair.public_key.decode(), setting)
    except (nkeys.NkeysError, ValueError) as error:
        raise SettingsInvalid(f"{setting} is no seed of an nkey user: they look like `SU…`.") from error
    return pair


def _signed(question: Question) -> bytes:
    key = base64.b64encode(question.key).decode()
    said = [RESOLVE_SUBJECT, question.tenant_id, question.names, question.issued_at, key, question.reader]
    return msgspec.json.encode(said)


def _shared_key(private: X25519PrivateKey, public: bytes, both: bytes) -> bytes:
    agreed = private.exchange(X25519PublicKey.from_public_bytes(public))
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=_INFO + both).derive(agreed)
