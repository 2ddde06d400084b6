"""Whose session a client's calls need, and who hears what a server says to nobody in particular."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.mcp_gateway.adapters.mcp.place import PoolBounds, SessionKey
from services.mcp_gateway.adapters.mcp.pool import SessionPool
from services.mcp_gateway.adapters.mcp.unasked import Unasked
from services.mcp_gateway.app.relay import Client
from services.mcp_gateway.domain.rpc import Message
from tests.unit.mcp.test_session_pool import LAUNCH, Opener

ASKED = {"elicitation": {}}


def test_who_can_be_asked_shares_with_nobody() -> None:
    assert Client("modern").place == Client("handshake", {}, "s", "ann").place == ""
    assert Client("handshake", {"extensions": {}}, "s").place == ""
    places = {
        Client("modern", ASKED, owner="ann").place,
        Client("modern", ASKED, owner="bob").place,
        Client("modern", {**ASKED, "sampling": {}}, owner="ann").place,
        Client("handshake", ASKED, "s1", "ann").place,
        Client("handshake", ASKED, "s2", "ann").place,
        "",
    }
    assert len(places) == 6


class Heard:
    """A relay that keeps what it was told."""

    extra: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it

    def __init__(self, client: Client) -> None:
        self.client = client
        self.notices: list[Any] = []

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        self.notices.append((progress, total, message))

    def notify(self, method: str, params: Any) -> None:
        self.notices.append(params["data"])

    async def ask(self, method: str, params: Any) -> Any:
        return {}


def log(unasked: Unasked, text: str, request_id: int | None = None) -> None:
    unasked.take(
        Message("2.0", method="notifications/message", params=_raw({"data": text})), "notifications/message", request_id
    )


def _raw(value: Any) -> Any:
    return msgspec.Raw(json.dumps(value).encode())


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_a_log_line_that_is_tied_to_no_call_is_nobodys_where_several_run(era: Any) -> None:
    client = Client(era, ASKED, "s" if era == "handshake" else "", "ann")
    shared, own = Unasked(None, lambda _: None, one_client=False), Unasked(None, lambda _: None, one_client=True)
    first, second = Heard(client), Heard(client)
    for unasked in (shared, own):
        unasked.begin(1, first)
        log(unasked, "alone")
        unasked.begin(2, second)
        log(unasked, "with another")
        log(unasked, "tied", 1)
        unasked.end(1)
        unasked.end(2)
        log(unasked, "after")
    assert first.notices == ["tied", "alone", "tied"]
    assert second.notices == (["with another"] if era == "handshake" else [])


async def test_what_a_client_leaves_is_its_own_session_alone() -> None:
    opener = Opener()
    tenant, server = uuid4(), uuid4()
    async with SessionPool(opener, PoolBounds()) as pool:
        shared = await pool.session(SessionKey(tenant, server, 1), LAUNCH)
        client = Client("handshake", ASKED, "s", "ann")
        own = await pool.session(SessionKey(tenant, server, 1, client=client.place), LAUNCH, client)
        await pool.evict_client(tenant, client.place)
        assert shared.alive
        assert not own.alive
        await pool.evict_client(tenant, "")
        assert shared.alive


async def test_a_call_that_waits_for_its_client_is_in_no_others_way() -> None:
    class Waiting(Heard):
        async def ask(self, method: str, params: Any) -> Any:
            self.notices.append(params)
            await asyncio.Event().wait()

    client = Client("modern", ASKED, owner="ann")
    replies: list[bytes] = []
    unasked = Unasked(None, replies.append, one_client=True)
    relays = [Waiting(client) for _ in range(3)]
    for number, relay in enumerate(relays):
        unasked.begin(number, relay)
        ask = Message("2.0", id=f"q{number}", method="elicitation/create", params=_raw({"n": number}))
        unasked.take(ask, "elicitation/create")
        await asyncio.sleep(0)
    assert [relay.notices for relay in relays] == [[{"n": 0}], [{"n": 1}], [{"n": 2}]]
    assert not replies
    unasked.close()
