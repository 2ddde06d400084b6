"""The client that the suite tests: the gateway's own sessions, doing what the scenario wants done.

The suite starts it as `python -m tests.conformance.client URL`, names the scenario in MCP_CONFORMANCE_SCENARIO and
gives more in MCP_CONFORMANCE_CONTEXT, as JSON.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import msgspec

from services.mcp_gateway.adapters.mcp.launch import CommandAllowList
from services.mcp_gateway.adapters.mcp.opener import TransportOpener
from services.mcp_gateway.adapters.mcp.place import SessionKey
from services.mcp_gateway.adapters.mcp.pool import PooledSession, SessionPool
from services.mcp_gateway.app.relay import Client
from services.mcp_gateway.domain.rpc import MODERN_VERSION
from shared.errors import PlatformError
from tests.conformance.authorization import access_for

SECONDS = 20.0
CONTEXT: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
CAPABILITIES: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
ZEROS = {"string": "", "integer": 0, "number": 0, "boolean": False, "object": {}, "array": [], "null": None}


class Person:
    """The way back to a client of the handshake era, which answers everything that it is asked at once."""

    client = Client("handshake", CAPABILITIES, "conformance")

    def __init__(self) -> None:
        self.extra: dict[str, Any] = {}

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Nobody watches."""

    def notify(self, method: str, params: Any) -> None:
        """Nobody watches."""

    async def ask(self, method: str, params: Any) -> Any:
        if method == "roots/list":
            return {"roots": []}
        if method == "sampling/createMessage":
            return {"role": "assistant", "content": {"type": "text", "text": "Yes."}, "model": "none"}
        fields = params["requestedSchema"]["properties"]
        return {"action": "accept", "content": {name: _filled(field) for name, field in fields.items()}}


def _filled(field: dict[str, Any]) -> Any:
    """Leave the form's default values as they are, and agree to the rest."""
    return field.get("default", field.get("type") == "boolean" or "yes")


class Conversation:
    """A session with the suite's server."""

    def __init__(self, session: PooledSession) -> None:
        self._session = session

    async def tools(self) -> dict[str, dict[str, Any]]:
        """Return the input schemas by the tools' names."""
        return {tool.name: tool.input_schema for tool in await self._session.list_tools()}

    async def call(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        await self._session.call_tool(name, arguments or {}, timeout=SECONDS, relay=Person())

    async def ask(self, method: str, **params: Any) -> Any:
        return msgspec.json.decode(await self._session.request(method, params, timeout=SECONDS))


async def call_all(talk: Conversation) -> None:
    """Call every tool that there is, with as little as it takes."""
    for name, schema in (await talk.tools()).items():
        fields = schema.get("properties", {})
        wanted = {field: ZEROS[fields[field].get("type", "string")] for field in schema.get("required", [])}
        try:
            await talk.call(name, wanted)
        except PlatformError as error:
            print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - what the suite keeps of a scenario


async def list_only(talk: Conversation) -> None:
    await talk.tools()


async def add(talk: Conversation) -> None:
    await talk.tools()
    await talk.call("add_numbers", {"a": 5, "b": 3})


async def echo_schema(talk: Conversation) -> None:
    tools = await talk.tools()
    await talk.call("json_schema_echo", {"schema": tools["json_schema_2020_12_tool"]})


async def call_as_told(talk: Conversation) -> None:
    known = await talk.tools()
    for call in CONTEXT["toolCalls"]:
        if call["name"] in known:
            await talk.call(call["name"], call["arguments"])


async def everything(talk: Conversation) -> None:
    """Ask for each thing that has a name."""
    await call_all(talk)
    for resource in (await talk.ask("resources/list"))["resources"]:
        await talk.ask("resources/read", uri=resource["uri"])
    for prompt in (await talk.ask("prompts/list"))["prompts"]:
        await talk.ask("prompts/get", name=prompt["name"])


SCENARIOS: dict[str, Callable[[Conversation], Awaitable[None]]] = {
    "initialize": list_only,
    "tools_call": add,
    "json-schema-ref-no-deref": list_only,
    "json-schema-2020-12-preservation": echo_schema,
    "http-standard-headers": everything,
    "http-custom-headers": call_as_told,
}


async def converse(url: str, scenario: str) -> None:
    # The suite's servers of one era do not all refuse the other as they should, so the era is not left to be found out.
    client = None if os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"] == MODERN_VERSION else Person.client
    key = SessionKey(tenant_id=UUID(int=1), server_id=UUID(int=2), version=1, client=client.place if client else "")
    launch, tokens = await access_for(scenario, url, CONTEXT)
    async with SessionPool(TransportOpener(CommandAllowList(()), httpx2.AsyncClient, tokens)) as pool:
        session = await pool.session(key, launch, client)
        await SCENARIOS.get(scenario, call_all)(Conversation(session))


if __name__ == "__main__":
    asyncio.run(converse(sys.argv[1], os.environ["MCP_CONFORMANCE_SCENARIO"]))
