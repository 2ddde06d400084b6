"""Clients of before 2026-07-28 and servers since: what a server wants first is asked of the client, then sent along.

A server of 2026-07-28 answers with what it wants (`input_required`) and is called again with the answers; a client of
before expects to be asked while its one request runs (2026-07-28, multi round-trip requests).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Raw

from services.mcp_gateway.adapters.mcp.codec import INPUT_REQUIRED
from services.mcp_gateway.app.relay import ASKED, Relay
from services.mcp_gateway.errors import ProtocolViolation
from services.mcp_gateway.limits import ASKS_PER_SESSION_MAX, INPUT_ROUNDS_MAX

Exchange = Callable[[str, dict[str, Any], float, Relay | None], Awaitable[Raw]]


class _Wanted(msgspec.Struct, frozen=True):
    method: str
    params: dict[str, Any] = {}


class _Result(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str = "complete"
    input_requests: dict[str, _Wanted] = {}
    request_state: str | None = None


_result = msgspec.json.Decoder(_Result)


async def with_answers(exchange: Exchange, method: str, params: dict[str, Any], seconds: float, relay: Relay) -> Raw:
    """Exchange until the result is complete, all within `seconds`.

    Raises what `exchange` and the client's refusals raise, and `TimeoutError`.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    for _ in range(INPUT_ROUNDS_MAX):
        raw = await exchange(method, params, max(0.001, until - loop.time()), relay)
        try:
            result = _result.decode(raw)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ProtocolViolation(f"The server's answer to {method} has the wrong shape.") from error
        if result.result_type != INPUT_REQUIRED:
            return raw
        if len(result.input_requests) > ASKS_PER_SESSION_MAX:
            raise ProtocolViolation(f"The server wants more than {ASKS_PER_SESSION_MAX} things at once.")
        answers = {}
        for key, wanted in result.input_requests.items():
            if wanted.method not in ASKED:
                raise ProtocolViolation(f"The server wants {wanted.method[:80]!r}, which no client gives.")
            async with asyncio.timeout_at(until):
                answers[key] = await relay.ask(wanted.method, wanted.params)
        params = {**params, "inputResponses": answers}
        if result.request_state is not None:
            params["requestState"] = result.request_state
    raise ProtocolViolation(f"The server wanted input {INPUT_ROUNDS_MAX} times.")
