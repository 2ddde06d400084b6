"""Tokens of any tenant: for whoever signs with the operator's nkey, once, and now."""

import datetime as dt
import os
from typing import cast
from uuid import UUID

import msgspec
import nkeys
import pytest

from services.tenant.app.logins import AccessToken, Logins
from services.tenant.app.operator import OperatorTokens
from services.tenant.app.ports import Directory
from shared.auth.limits import PROOF_S
from shared.auth.operator import IssueToken, OperatorKey, sign_issue_token
from shared.errors import Forbidden, NotFound, Unauthenticated
from shared.settings import SettingsInvalid

DEMO = UUID(int=1)


def seed(prefix: int = nkeys.PREFIX_BYTE_USER) -> str:
    made: bytes = nkeys.encode_seed(os.urandom(32), prefix)
    return made.decode()


def public(of: str) -> str:
    key: bytes = nkeys.from_seed(bytearray(of.encode())).public_key
    return key.decode()


OPERATOR = seed()
SIGNED = sign_issue_token(OPERATOR, "demo")


class Tenants:
    """Knows the tenant `demo`, and the commands that it saw."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    async def active_tenant(self, slug: str) -> UUID | None:
        return DEMO if slug == "demo" else None

    async def first_use(self, nonce: str) -> bool:
        new = nonce not in self._seen
        self._seen.add(nonce)
        return new


class Tokens:
    async def for_operator(self, tenant_id: UUID) -> AccessToken:
        return AccessToken(f"of {tenant_id}", 1)


def tokens(key: OperatorKey | None, *, at: float = SIGNED.issued_at) -> OperatorTokens:
    now = dt.datetime.fromtimestamp(at, dt.UTC)
    return OperatorTokens(cast("Directory", Tenants()), cast("Logins", Tokens()), lambda: now, key)


def changed(**fields: object) -> IssueToken:
    return msgspec.structs.replace(SIGNED, **fields)


@pytest.mark.parametrize("drift", [-PROOF_S, 0, PROOF_S])
async def test_the_operator_gets_a_token_once(drift: int) -> None:
    service = tokens(OperatorKey(public(OPERATOR)), at=SIGNED.issued_at + drift)
    assert (await service.issue(SIGNED)).access_token == f"of {DEMO}"
    with pytest.raises(Unauthenticated, match="before"):
        await service.issue(SIGNED)


async def test_there_is_no_token_of_a_tenant_that_is_not_there() -> None:
    command = sign_issue_token(OPERATOR, "nowhere")
    with pytest.raises(NotFound):
        await tokens(OperatorKey(public(OPERATOR)), at=command.issued_at).issue(command)


@pytest.mark.parametrize(
    "command",
    [
        sign_issue_token(seed(), "demo"),
        changed(tenant="acme"),
        changed(issued_at=SIGNED.issued_at + 1),
        changed(nonce="0" * 32),
        changed(signature=""),
        changed(signature="not base64"),
        changed(signature=SIGNED.signature[::-1]),
        changed(signature="é"),
    ],
)
async def test_what_the_operator_did_not_sign_is_refused(command: IssueToken) -> None:
    with pytest.raises(Unauthenticated, match="signed"):
        await tokens(OperatorKey(public(OPERATOR))).issue(command)


@pytest.mark.parametrize("drift", [-PROOF_S - 1, PROOF_S + 1])
async def test_what_was_signed_at_another_time_is_refused(drift: int) -> None:
    with pytest.raises(Unauthenticated, match="clock"):
        await tokens(OperatorKey(public(OPERATOR)), at=SIGNED.issued_at + drift).issue(SIGNED)


async def test_without_the_operators_key_nobody_is_the_operator() -> None:
    with pytest.raises(Forbidden, match="AGENTIC_TENANT_OPERATOR_KEY"):
        await tokens(None).issue(SIGNED)


@pytest.mark.parametrize(
    "text", ["", "U", "x" * 56, public(seed(nkeys.PREFIX_BYTE_ACCOUNT)), public(OPERATOR)[:-1] + "é", OPERATOR]
)
def test_what_is_no_public_key_of_a_user_is_no_setting(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="AGENTIC_TENANT_OPERATOR_KEY"):
        OperatorKey(text)


def test_a_mistyped_key_is_seen_by_its_checksum() -> None:
    good = public(OPERATOR)
    typo = good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
    with pytest.raises(SettingsInvalid):
        OperatorKey(typo)
