"""Everything between an entry and the database, with a server and a log that do as they are told."""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.ports import KnownTool, ToolAnswer
from services.mcp_gateway.domain.call import CallOutcome, CallRequest
from services.mcp_gateway.domain.server import Server, ServerConfig, ServerDefinition
from services.mcp_gateway.entry.consumer import ToolTasks
from shared.bus.tasks import Task, TaskResult, task_id_of
from shared.scope import TenantScope
from shared.secrets.errors import SecretNotFound
from tests.unit.gateway.call_log import CallLog, recording

TENANT = uuid4()
SCOPE = TenantScope(TENANT, "tester")
NOW = dt.datetime.now(dt.UTC)
ACTS, READS = "acts", "reads"


def server_with(config: ServerConfig) -> Server:
    definition = ServerDefinition("S", "s", "stdio", command="x", config=config)
    return Server(TENANT, uuid4(), definition, "active", 1, 1, NOW, NOW)


class Upstream:
    """A server with a tool that acts and one that reads. `calls` are the seconds that each call was given."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.sent: list[dict[str, Any]] = []
        self.start_failure: Exception | None = None
        self.starting = 0.0
        self.answer: Callable[[], dict[str, Any]] = lambda: {"done": True}

    async def tools(self, _: Server) -> dict[str, KnownTool]:
        await asyncio.sleep(self.starting)
        if self.start_failure is not None:
            raise self.start_failure
        return {name: KnownTool(name, {}, {}, "hash", repeatable=name == READS) for name in (ACTS, READS)}

    async def call(self, _: Server, __: str, arguments: dict[str, Any], seconds: float) -> ToolAnswer:
        self.calls.append(seconds)
        self.sent.append(arguments)
        return ToolAnswer([], self.answer(), is_error=False, duration_ms=1.0)

    async def ping(self, _: Server, __: float) -> None: ...

    def fails(self, error: Exception) -> None:
        def fail() -> dict[str, Any]:
            raise error

        self.answer = fail


class Gateway:
    """Everything between an entry and the database."""

    def __init__(self, config: ServerConfig | None = None) -> None:
        self.server = server_with(config or ServerConfig())
        self.upstream = Upstream()
        self.secrets: dict[str, str] = {}
        self.log = CallLog()
        self.records = recording(self.log)
        self.calls = ToolCalls(self, self.upstream, self.records, lambda _, __, ___: None, lambda _, __: None, self)

    async def find(self, _: TenantScope, __: str) -> Server:
        return self.server

    async def resolve(self, tenant_id: UUID, names: Sequence[str]) -> dict[str, str]:
        assert tenant_id == TENANT
        for name in names:
            if name not in self.secrets:
                raise SecretNotFound(name)
        return {name: self.secrets[name] for name in names}

    async def execute(self, tool: str, **more: Any) -> CallOutcome:
        call = {"id": uuid4(), "server": "s", "tool_name": tool, "arguments": {}, **more}
        return await self.calls.execute(SCOPE, CallRequest(**call))

    async def do(
        self, tool: str, *, execution: UUID | None = None, attempt: int = 1, seconds: float = 30
    ) -> TaskResult:
        execution = execution or uuid4()
        payload = {"server_id": "s", "tool_name": tool}
        deadline = int((time.time() + seconds) * 1000)
        task_id = task_id_of(execution, "step", attempt)
        return await ToolTasks(self.calls).do(Task(task_id, TENANT, execution, "step", attempt, 0, deadline, payload))

    async def types(self, call: UUID) -> list[str]:
        self.log.away = False
        await self.records.settled(TENANT)
        return [event.type.removeprefix("mcp.tool-call-") for event in (await self.log.read_streams([call]))[call]]
