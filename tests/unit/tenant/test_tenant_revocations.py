"""A service that verifies credentials hears who was revoked, and asks for what it did not hear."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from services.tenant.domain.events import CATALOGUE, ApiKeyRevoked, UserDeleted
from shared.auth import limits, revocations, verifier
from shared.auth.revocations import listen_to_revocations
from shared.auth.verifier import VerifiedKey, Verifier
from shared.bus.cloudevents import headers_of, subject_of
from shared.errors import Unauthenticated
from shared.eventstore.event import EventMeta, RecordedEvent, encode_meta

TENANT, WHO = UUID(int=1), UUID(int=2)


class Keys:
    """Every API key is good; it says whose it is."""

    async def jwks(self) -> list[dict[str, Any]]:
        return []

    async def verify_api_key(self, key: str) -> VerifiedKey:
        return VerifiedKey(TENANT, key.removeprefix("ap_"), [])


class Bus:
    """A connection on which the test says what comes."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.stats = {"reconnects": 0}
        self.is_connected = True
        self.heard: dict[str, Callable[[Msg], Awaitable[None]]] = {}
        self.asked = 0
        self._answers = list(answers)

    async def subscribe(self, subject: str, cb: Callable[[Msg], Awaitable[None]]) -> None:
        self.heard[subject] = cb

    async def request(self, subject: str, _: bytes, timeout: float) -> Msg:  # noqa: ASYNC109 — the client's own
        assert (subject, timeout > 0) == ("queries.tenant.revocations", True)
        self.asked += 1
        answer = self._answers.pop(0) if self._answers else []
        if isinstance(answer, Exception):
            raise answer
        return Msg(cast("Client", self), data=msgspec.json.encode({"actors": answer}))


@asynccontextmanager
async def listening(bus: Bus, to: Verifier) -> AsyncIterator[None]:
    task = asyncio.create_task(listen_to_revocations(cast("Client", bus), to))
    await asyncio.sleep(0)
    yield
    task.cancel()
    await asyncio.wait([task])


async def refused(by: Verifier, actor: str) -> bool:
    try:
        await by.verify(f"ap_{actor}")
    except Unauthenticated:
        return True
    return False


async def eventually(by: Verifier, actor: str) -> bool:
    async with asyncio.timeout(2):
        while not await refused(by, actor):
            await asyncio.sleep(0.001)
    return True


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "REVOCATIONS_LOOK_S", 0.001)


@pytest.mark.parametrize(
    ("event", "subject", "actor"),
    [
        (ApiKeyRevoked(), "events.*.tenant.api-key.revoked", f"key:{WHO}"),
        (UserDeleted(), "events.*.tenant.user.deleted", f"user:{WHO}"),
    ],
)
async def test_the_event_that_revokes_is_public_and_is_understood(
    event: ApiKeyRevoked | UserDeleted, subject: str, actor: str
) -> None:
    assert event.TYPE in CATALOGUE.public_types
    at = dt.datetime.now(dt.UTC)
    recorded = RecordedEvent(1, TENANT, WHO, 2, event.TYPE, CATALOGUE.encode(event), encode_meta(EventMeta()), at)
    assert subject_of("tenant", recorded) == subject.replace("*", str(TENANT))
    bus, one = Bus(), Verifier(Keys())
    assert not await refused(one, actor)
    async with listening(bus, one):
        headers = headers_of("tenant", recorded)
        await bus.heard[subject](Msg(cast("Client", bus), subject_of("tenant", recorded), headers=headers))
        assert await refused(one, actor)
        assert not await refused(one, f"key:{UUID(int=3)}")


@pytest.mark.parametrize("headers", [None, {}, {"ce-subject": "operator"}])
async def test_an_event_that_names_nobody_revokes_nobody(headers: dict[str, str] | None) -> None:
    bus, one = Bus(), Verifier(Keys())
    async with listening(bus, one):
        for subject, hear in bus.heard.items():
            await hear(Msg(cast("Client", bus), subject, headers=headers))
        assert not await refused(one, "user:operator")


async def test_after_each_new_connection_it_asks_what_it_missed_until_it_is_told() -> None:
    bus, one = Bus(NoRespondersError(), ["key:a"], TimeoutError(), ["key:b"]), Verifier(Keys())
    async with listening(bus, one):
        assert await eventually(one, "key:a")
        asked = bus.asked
        await asyncio.sleep(0.02)
        assert (bus.asked, await refused(one, "key:b")) == (asked, False)
        bus.stats["reconnects"] += 1
        assert await eventually(one, "key:b")


async def test_a_key_whose_answer_was_under_way_when_it_was_revoked_is_refused() -> None:
    one = Verifier(Keys())
    one.revoke("key:a")
    assert await refused(one, "key:a")
    assert await refused(one, "key:a")


async def test_who_was_revoked_is_forgotten_once_no_token_of_theirs_can_be_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert limits.REVOKED_S > limits.ACCESS_TOKEN_S
    monkeypatch.setattr(verifier, "REVOKED_MAX", 2)
    one = Verifier(Keys())
    for actor in ("key:a", "key:b", "key:c"):
        one.revoke(actor)
    assert [await refused(one, actor) for actor in ("key:a", "key:b", "key:c")] == [False, True, True]
    monkeypatch.setattr(verifier, "REVOKED_S", -1.0)
    one.revoke("key:d")
    monkeypatch.setattr(verifier, "REVOKED_S", 60.0)
    one.revoke("key:b")
    one.revoke("key:e")
    assert len(one._revoked) == 2
