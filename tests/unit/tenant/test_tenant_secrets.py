"""Keys as they look, and what is derived, wrapped and stored of secrets."""

import base64
import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tenant.adapters.demo_password import make_demo_password
from services.tenant.adapters.passwords import Argon2Passwords
from services.tenant.adapters.secret_keys import HmacDigester, Wrapping, derive
from services.tenant.adapters.signing import thumbprint
from services.tenant.app.ports import ApiKeyRow, UserRow
from services.tenant.domain.api_keys import format_key, is_well_formed, shown_prefix
from services.tenant.domain.events import CATALOGUE, ApiKeyCreated, TenantCreated, UserCreated
from services.tenant.entry.nats_callout import Question, read_question
from shared.errors import InvalidInput
from shared.settings import SettingsInvalid

MASTER = bytes(32)


@given(st.binary(min_size=32, max_size=32), st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_mistyped_key_is_seen_by_its_check_digits(secret: bytes, place: int, typo: str) -> None:
    key = format_key("dev", secret)
    assert is_well_formed(key)
    assert len(key) == len("ap_dev_") + 43 + 6
    at = place % len(key)
    assert is_well_formed(key[:at] + typo + key[at + 1 :]) == (key[at] == typo)


@pytest.mark.parametrize("text", ["", "ap_", "ap_dev_", "ap_dev_ü", "xx_dev_" + "0" * 49])
def test_what_is_no_key_is_not_looked_up(text: str) -> None:
    assert not is_well_formed(text)


def test_a_key_is_recognised_by_its_first_characters_and_those_tell_little() -> None:
    key = format_key("prod", b"\xff" * 32)
    assert shown_prefix(key) == key[: len("ap_prod_") + 6]


def test_every_purpose_has_a_key_of_its_own() -> None:
    assert len({derive(MASTER, "api-keys"), derive(MASTER, "signing-keys"), derive(b"\1" * 32, "api-keys")}) == 3
    assert HmacDigester(derive(MASTER, "api-keys"))("k") != HmacDigester(derive(b"\1" * 32, "api-keys"))("k")


def test_a_wrapped_key_opens_only_by_its_master_key_and_under_its_name() -> None:
    wrapping = Wrapping(derive(MASTER, "signing-keys"))
    wrapped = wrapping.wrap(b"secret", "signing-key:a")
    assert wrapping.unwrap(wrapped, "signing-key:a") == b"secret"
    assert wrapping.wrap(b"secret", "signing-key:a") != wrapped
    for other, name in ((wrapping, "signing-key:b"), (Wrapping(derive(b"\1" * 32, "signing-keys")), "signing-key:a")):
        with pytest.raises(SettingsInvalid):
            other.unwrap(wrapped, name)


def test_key_ids_are_rfc_7638_thumbprints() -> None:
    # RFC 8037, appendix A.3
    public = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert thumbprint(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


async def test_nobody_logs_in_where_no_hash_is_stored() -> None:
    passwords = await Argon2Passwords.open()
    stored = await passwords.hash("right password")
    assert stored.startswith("$argon2id$")
    assert await passwords.check(stored, "right password")
    assert not await passwords.check(stored, "wrong password")
    assert not await passwords.check(None, "nobody has this password")


def test_the_demo_password_stays_the_same_and_is_the_owners_alone(tmp_path: Path) -> None:
    password = make_demo_password(tmp_path)
    assert len(password) >= 24
    assert make_demo_password(tmp_path) == password
    assert (tmp_path / "credentials" / "demo.password").stat().st_mode & 0o777 == 0o600


def test_the_nats_servers_question_is_read() -> None:
    claims = {
        "iss": "N",
        "nats": {
            "server_id": {"name": "agentic", "id": "NSERVER"},
            "user_nkey": "UKEY",
            "connect_opts": {"auth_token": "t", "lang": "python"},
        },
    }
    body = b"head." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=") + b".signature"
    assert read_question(body) == Question("NSERVER", "UKEY", "t")
    for broken in (b"", b"a.b", b"a.!!.c", os.urandom(40).replace(b".", b"")):
        with pytest.raises(InvalidInput):
            read_question(broken)


def test_nothing_that_is_read_has_a_place_for_a_secret() -> None:
    fields = {*UserRow.__struct_fields__, *ApiKeyRow.__struct_fields__}
    assert not fields & {"password", "password_hash", "digest", "key"}


@pytest.mark.parametrize(
    ("event", "stored"),
    [
        (
            TenantCreated(slug="acme", name="Acme", plan="free", parent_id=UUID(int=1)),
            b'{"slug":"acme","name":"Acme","plan":"free","parent_id":"00000000-0000-0000-0000-000000000001"}',
        ),
        (UserCreated(role="viewer"), b'{"role":"viewer"}'),
        (
            ApiKeyCreated(name="ci", prefix="ap_dev_abc", scopes=("mcp:read",)),
            b'{"name":"ci","prefix":"ap_dev_abc","scopes":["mcp:read"]}',
        ),
    ],
)
def test_events_are_stored_as_they_always_were(
    event: TenantCreated | UserCreated | ApiKeyCreated, stored: bytes
) -> None:
    assert CATALOGUE.encode(event) == stored
    assert CATALOGUE.decode(event.TYPE, stored) == event
