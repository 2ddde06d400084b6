"""Pins in memory: what `PinStore` promises, without a database."""

import asyncio
from uuid import UUID

import msgspec

from services.mcp_gateway.app.trust import Decide, Pinned
from services.mcp_gateway.domain.pins import PinEvent, Pins, evolve
from shared.errors import Unavailable
from shared.scope import TenantScope


class PinsInMemory:
    """`reads` counts the questions, `asked` tells of them; while `away` none is answered, while not `open` none yet."""

    def __init__(self) -> None:
        self.kept: dict[UUID, Pins] = {}
        self.events: list[PinEvent] = []
        self.reads = 0
        self.away = False
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def read(self, _: TenantScope, server_id: UUID) -> Pins:
        self.reads += 1
        self.asked.set()
        await self.open.wait()
        if self.away:
            raise Unavailable("The database is away.")
        return self.kept.get(server_id, Pins(server_id, registrant="user:ada"))

    async def change(
        self, scope: TenantScope, server_id: UUID, decide: Decide, listed: frozenset[str] | None = None
    ) -> Pinned:
        pins = await self.read(scope, server_id)
        events = decide(pins)
        tools = dict(pins.tools)
        for event in events:
            tools[event.tool_name] = evolve(tools.get(event.tool_name), event)
        if listed is not None:
            tools = {name: msgspec.structs.replace(pin, listed=name in listed) for name, pin in tools.items()}
        self.events += events
        self.kept[server_id] = msgspec.structs.replace(pins, tools=tools, listed=pins.listed or listed is not None)
        return Pinned(self.kept[server_id], events, len(self.events) or None)
