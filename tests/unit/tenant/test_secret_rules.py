"""What may happen to a secret, and where master keys come from."""

from pathlib import Path

import pytest

from services.tenant.adapters.master_keys import read_master_keys
from services.tenant.adapters.secret_keys import Cipher, HmacDigester, Sealed, Wrapping
from services.tenant.domain.events import SecretDeleted, SecretSet
from services.tenant.domain.secrets import DeleteSecret, SetSecret, decide, fold
from services.tenant.limits import SECRETS_PER_TENANT_MAX
from shared.errors import Conflict, NotFound
from shared.settings import SettingsInvalid

FIRST, SECOND = SecretSet(name="A", version=1), SecretSet(name="A", version=2)
GONE = SecretDeleted(name="A")
OLD, NEW = b"o" * 32, b"n" * 32


def test_each_value_has_the_next_version_over_deletions_too() -> None:
    assert decide(fold([]), SetSecret("A", 0)) == [FIRST]
    assert decide(fold([FIRST]), SetSecret("A", 1)) == [SECOND]
    assert decide(fold([FIRST, GONE]), SetSecret("A", 0)) == [SECOND]


def test_what_is_not_there_is_not_deleted() -> None:
    assert decide(fold([FIRST]), DeleteSecret("A")) == [GONE]
    for history in ([], [FIRST, GONE]):
        with pytest.raises(NotFound):
            decide(fold(history), DeleteSecret("A"))


def test_there_is_an_end_to_names_and_none_to_versions() -> None:
    full = SetSecret("A", SECRETS_PER_TENANT_MAX)
    for history in ([], [FIRST, GONE]):
        with pytest.raises(Conflict):
            decide(fold(history), full)
    assert decide(fold([FIRST]), full) == [SECOND]
    assert decide(fold([]), SetSecret("A", SECRETS_PER_TENANT_MAX - 1)) == [FIRST]


def test_master_keys_are_read_from_either_place(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{'6e' * 32}\n\n  {'6f' * 32} \n")
    assert read_master_keys(f"{'6e' * 32},{'6f' * 32}", "") == read_master_keys("", str(file)) == [NEW, OLD]


@pytest.mark.parametrize(
    "text",
    ["", ",", "6e" * 31, "6E" * 32, "6e" * 32 + ",", "x" * 64, ",".join(["6e" * 32] * 5), "6e" * 32 + "\n" + "6f" * 32],
)
def test_what_is_no_master_key_is_not_repeated(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="AGENTIC_TENANT_MASTER_KEY") as error:
        read_master_keys(text, "")
    assert "6e6e" not in str(error.value)
    for file in (tmp_path / "none", tmp_path):
        with pytest.raises(SettingsInvalid, match="cannot be read"):
            read_master_keys("", str(file))
    with pytest.raises(SettingsInvalid, match="either"):
        read_master_keys("6e" * 32, str(tmp_path))


def test_what_a_former_key_wrapped_is_opened_and_wrapped_anew() -> None:
    both, former, latter = Wrapping(NEW, OLD), Wrapping(OLD), Wrapping(NEW)
    wrapped = former.wrap(b"key", "n")
    assert both.unwrap(wrapped, "n") == b"key"
    renewed = both.rewrapped(wrapped, "n")
    assert renewed is not None
    assert latter.unwrap(renewed, "n") == b"key"
    assert both.rewrapped(renewed, "n") is None
    assert (both.changing, former.changing) == (True, False)
    for bad in (b"", wrapped[:-1], wrapped[:11]):
        with pytest.raises(SettingsInvalid):
            both.unwrap(bad, "n")
    with pytest.raises(SettingsInvalid):
        both.rewrapped(wrapped, "m")


def test_a_cipher_opens_under_its_key_and_name_alone() -> None:
    encrypted = Cipher(OLD).encrypt(b"value", "place")
    assert Cipher(OLD).decrypt(encrypted, "place") == b"value"
    for key, name, text in (
        (NEW, "place", encrypted),
        (OLD, "other", encrypted),
        (OLD, "place", b""),
        (OLD, "place", encrypted[:-1]),
    ):
        with pytest.raises(Sealed):
            Cipher(key).decrypt(text, name)


def test_a_digest_is_looked_for_under_every_key() -> None:
    assert HmacDigester(NEW, OLD).every("k") == [HmacDigester(NEW)("k"), HmacDigester(OLD)("k")]
    assert HmacDigester(NEW, OLD)("k") == HmacDigester(NEW)("k")
