"""Everything between an entry and the database, with a server and a log that do as they are told."""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.policy import Policies, TenantConfigs
from services.mcp_gateway.app.ports import Caller, KnownTool, ToolAnswer
from services.mcp_gateway.app.relay import Relay
from services.mcp_gateway.app.trust import Trust
from services.mcp_gateway.domain.call import CallOutcome, CallRequest
from services.mcp_gateway.domain.config import Config, ConfigDefinition
from services.mcp_gateway.domain.server import Server, ServerConfig, ServerDefinition
from services.mcp_gateway.entry.consumer import ToolTasks
from shared.bus.tasks import Task, TaskResult, task_id_of
from shared.scope import TenantScope
from shared.secrets.errors import SecretNotFound
from tests.unit.gateway.call_log import CallLog, recording
from tests.unit.gateway.pins_in_memory import PinsInMemory

TENANT = uuid4()
SCOPE = TenantScope(TENANT, "tester")
NOW = dt.datetime.now(dt.UTC)
ACTS, READS = "acts", "reads"


def server_with(config: ServerConfig) -> Server:
    definition = ServerDefinition("S", "s", "stdio", command="x", config=config)
    return Server(TENANT, uuid4(), definition, "active", 1, 1, NOW, NOW)


def listed(name: str, **more: Any) -> KnownTool:
    return KnownTool.of({"name": name, "inputSchema": {}, "annotations": {"readOnlyHint": name == READS}, **more})


class Upstream:
    """A server with a tool that acts and one that reads.

    `calls` are the seconds that each call was given, `callers` who made it.
    """

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.servers: list[Server] = []
        self.callers: list[Caller | None] = []
        self.sent: list[dict[str, Any]] = []
        self.start_failure: Exception | None = None
        self.starting = 0.0
        self.answer: Callable[[], dict[str, Any]] = lambda: {"done": True}
        self.listing = {ACTS: listed(ACTS), READS: listed(READS)}

    def describes(self, tool: KnownTool) -> None:
        """List this tool from now on, in place of the one of its name."""
        self.listing = {**self.listing, tool.name: tool}

    async def tools(self, _: Server) -> dict[str, KnownTool]:
        await asyncio.sleep(self.starting)
        if self.start_failure is not None:
            raise self.start_failure
        return self.listing

    async def call(
        self,
        server: Server,
        _: str,
        arguments: dict[str, Any],
        seconds: float,
        relay: Relay | None = None,
        caller: Caller | None = None,
    ) -> ToolAnswer:
        assert relay is None
        self.calls.append(seconds)
        self.callers.append(caller)
        self.servers.append(server)
        self.sent.append(arguments)
        return ToolAnswer([], self.answer(), is_error=False, duration_ms=1.0)

    async def ping(self, _: Server, __: float) -> None: ...

    async def probe(self, _: Server, __: float) -> bool:
        return True

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
        self.pins = PinsInMemory()
        self.trust = Trust(self.upstream, self.pins)
        self.configs: list[Config] = []
        self.observed: list[tuple[str, int]] = []
        self.found: list[str] = []
        self.calls = ToolCalls(
            self, Policies(self), self.upstream, self.trust, self.records, lambda _, __, ___: None, self, self
        )

    async def find(self, _: TenantScope, __: str) -> Server:
        return self.server

    async def resolve(self, tenant_id: UUID, names: Sequence[str]) -> dict[str, str]:
        assert tenant_id == TENANT
        for name in names:
            if name not in self.secrets:
                raise SecretNotFound(name)
        return {name: self.secrets[name] for name in names}

    async def of_tenant(self, _: TenantScope) -> TenantConfigs:
        return TenantConfigs(self.configs)

    def rule(self, **said: Any) -> Config:
        """Add a config of the server."""
        config = Config(TENANT, uuid4(), ConfigDefinition(self.server.id, **said), 1, 1, NOW, NOW)
        self.configs.append(config)
        return config

    def observe_call(self, outcome: str, _: float, attempts: int) -> None:
        self.observed.append((outcome, attempts))

    def observe_result(self, rule: str) -> None:
        self.found.append(rule)

    async def execute(self, tool: str, scopes: frozenset[str] = frozenset(), **more: Any) -> CallOutcome:
        call = {"id": uuid4(), "server": "s", "tool_name": tool, "arguments": {}, **more}
        return await self.calls.execute(TenantScope(TENANT, SCOPE.actor, scopes), CallRequest(**call))

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
