"""The MCP gateway's answers, as far as the commands look into them."""

from typing import Any

import msgspec

from shared.errors import FieldFault


class McpServer(msgspec.Struct):
    id: str
    name: str
    slug: str
    server_type: str
    status: str
    version: str
    category: str
    health_status: str
    total_executions: int
    failed_executions: int
    tools: list[dict[str, Any]] = []
    installed_from: str | None = None


class McpServerPage(msgspec.Struct):
    servers: list[McpServer]
    next_cursor: str | None = None


class ToolCall(msgspec.Struct):
    """How a call ended. `tool_output` is whatever the tool gave."""

    execution_id: str
    status: str
    tool_output: Any
    error_code: str | None
    error_message: str | None
    execution_time_ms: float


class CatalogueEntry(msgspec.Struct):
    slug: str
    name: str
    title: str
    description: str
    version: str
    kinds: list[str]
    origin: str


class CataloguePage(msgspec.Struct):
    entries: list[CatalogueEntry]
    next_cursor: str | None = None


class AskedValue(msgspec.Struct):
    """A value that an installation takes, by `name`."""

    name: str
    required: bool = False
    secret: bool = False
    repeated: bool = False
    description: str | None = None
    default: str | None = None
    choices: list[str] | None = None


class InstallWay(msgspec.Struct):
    """One way to install an entry; `refused` says why it is none."""

    kind: str
    index: int
    type: str
    target: str
    refused: str | None = None
    asks: list[AskedValue] = []


class CatalogueDetail(msgspec.Struct):
    slug: str
    name: str
    title: str
    description: str
    version: str
    origin: str
    ways: list[InstallWay]


class SecretNeeded(msgspec.Struct):
    name: str
    path: str


class ImportedServer(msgspec.Struct):
    """What becomes of a server of a client's file."""

    name: str
    slug: str
    status: str
    faults: list[FieldFault]
    notes: list[str]
    secrets: list[SecretNeeded]
    server: dict[str, Any] | None = None
    server_id: str | None = None


class ImportAnswer(msgspec.Struct):
    applied: bool
    servers: list[ImportedServer]


class ExportedConfig(msgspec.Struct):
    """A client's file: its content, where it belongs, and what is left to do."""

    client: str
    url: str
    file: str
    config: dict[str, Any]
    notes: list[str]
