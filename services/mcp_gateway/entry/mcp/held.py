"""Clients of 2026-07-28 and servers of before: a call is held while its client goes and gets what the server asks.

A server of before asks while its one request runs; a client since wants an answer that says what is wanted, and comes
again with it and with the `requestState` that it was given (2026-07-28, multi round-trip requests). So the call goes on
here, and the state names it.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.rpc import INTERNAL_ERROR, INVALID_PARAMS, refused
from services.mcp_gateway.entry.mcp.frames import Frames
from services.mcp_gateway.entry.mcp.inbound import Inbound
from services.mcp_gateway.entry.mcp.methods import Method
from services.mcp_gateway.entry.mcp.relays import FrameRelay
from services.mcp_gateway.limits import MCP_ASK_SECONDS, MCP_HELD_MAX, MCP_HELD_PER_TENANT_MAX

_PREFIX = "held:"
_KEY = "input"


class _Held:
    """A call that runs, and what its server waits for."""

    work: asyncio.Task[Any]

    def __init__(self, owner: tuple[UUID, str, str | None], what: dict[str, Any]) -> None:
        self.owner = owner
        self.what = what
        self.relay: FrameRelay | None = None
        self.asked: asyncio.Queue[tuple[str, Any, asyncio.Future[Any]]] = asyncio.Queue()
        self.waiting: asyncio.Future[Any] | None = None

    async def ask(self, method: str, params: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self.asked.put((method, params, answer))
        async with asyncio.timeout(MCP_ASK_SECONDS):
            return await answer


class HeldCalls:
    """The calls that wait for their clients."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    async def run(self, inbound: Inbound, frames: Frames, level: Callable[[], str | None], method: Method) -> Any:
        """Answer a request, or say what its server wants first; or go on with one that waited for this."""
        state = inbound.params.get("requestState")
        if isinstance(state, str) and state.startswith(_PREFIX):
            held = self._resume(state, inbound)
            if held.relay is not None:
                held.relay.frames = frames
        else:
            held = _Held(_owner(inbound), _what(inbound))
            held.relay = FrameRelay(inbound.client, inbound.params, frames, held.ask, level)
            with_relay = msgspec.structs.replace(inbound, relay=held.relay)
            held.work = asyncio.create_task(_call(method, with_relay))
        return await self._next(held)

    def close(self) -> None:
        """Take all calls back."""
        for held in self._held.values():
            held.work.cancel()

    async def _next(self, held: _Held) -> Any:
        asking = asyncio.create_task(held.asked.get())
        try:
            await asyncio.wait({held.work, asking}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            held.work.cancel()
            raise
        finally:
            if not asking.done():
                asking.cancel()
        if held.work.done():
            return held.work.result()
        method, params, held.waiting = asking.result()
        return self._hold(held, method, params)

    def _hold(self, held: _Held, method: str, params: Any) -> dict[str, Any]:
        of_tenant = sum(other.owner[0] == held.owner[0] for other in self._held.values())
        if len(self._held) >= MCP_HELD_MAX or of_tenant >= MCP_HELD_PER_TENANT_MAX:
            held.work.cancel()
            raise refused(INTERNAL_ERROR, "Too many calls wait for their clients")
        state = _PREFIX + secrets.token_urlsafe(24)
        self._held[state] = held
        held.work.add_done_callback(lambda _: self._held.pop(state, None))
        asked = {"method": method, "params": params if isinstance(params, dict) else {}}
        return {"resultType": "input_required", "inputRequests": {_KEY: asked}, "requestState": state}

    def _resume(self, state: str, inbound: Inbound) -> _Held:
        held = self._held.get(state)
        if held is None or held.owner != _owner(inbound) or held.what != _what(inbound):
            raise refused(INVALID_PARAMS, "There is no such `requestState`: call without it")
        answers = inbound.params.get("inputResponses")
        answer = answers.get(_KEY) if isinstance(answers, dict) else None
        if not isinstance(answer, dict):
            raise refused(INVALID_PARAMS, f"`inputResponses` has to answer {_KEY!r}")
        del self._held[state]
        if held.waiting is not None and not held.waiting.done():  # else the server waits no more: the call goes on
            held.waiting.set_result(answer)
        return held


async def _call(method: Method, inbound: Inbound) -> Any:
    return await method(inbound)


def _owner(inbound: Inbound) -> tuple[UUID, str, str | None]:
    return inbound.scope.tenant_id, inbound.scope.actor, inbound.profile


def _what(inbound: Inbound) -> dict[str, Any]:
    params = inbound.params
    return {"method": inbound.method, **{name: params.get(name) for name in ("name", "uri", "arguments")}}
