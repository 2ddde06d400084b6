"""`/api/v1/mcp/servers/{id}/definitions` and `…/approve`: what was approved of a server's tools, and what waits."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.datastructures import State

from services.mcp_gateway.app.trust import Trust
from services.mcp_gateway.domain.diff import Change
from services.mcp_gateway.domain.events import ToolApproved
from services.mcp_gateway.domain.pins import Pin, PinStatus, Version
from services.mcp_gateway.domain.screening import Finding
from services.mcp_gateway.entry.servers_api import Gateway, Reference
from services.mcp_gateway.entry.shapes import ToolName
from services.mcp_gateway.limits import PINS_PER_SERVER_MAX
from shared.auth.scopes import MCP_READ, MCP_WRITE
from shared.errors import FieldFault, Unprocessable
from shared.http.pages import DEFAULT_LIMIT, Limit, Offset
from shared.http.positions import EVENT_POSITION
from shared.scope import TenantScope

_TAGS = ["mcp trust"]

DefinitionHash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class PendingDefinition(msgspec.Struct, frozen=True):
    """What waits for approval. `diff` is from the approved definition; there is none for a tool that is new."""

    definition_hash: str
    definition: dict[str, Any]
    reason: str | None
    seen_at: dt.datetime
    diff: list[Change]
    findings: tuple[Finding, ...]


class DefinitionView(msgspec.Struct, frozen=True):
    """A tool: its approved definition, if it has one, and its pending one. `listed`: the server has the tool now."""

    name: str
    status: PinStatus
    listed: bool
    definition_hash: str | None
    definition: dict[str, Any] | None
    approved_at: dt.datetime | None
    approved_by: str | None
    findings: tuple[Finding, ...]
    pending: PendingDefinition | None


class DefinitionList(msgspec.Struct, frozen=True):
    """A page of a server's tools by name."""

    server_id: UUID
    definitions: list[DefinitionView]
    total: int
    offset: int
    limit: int


class WantedTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A definition that is approved: exactly this one. The hash of the approved definition drops what is pending."""

    name: ToolName
    definition_hash: DefinitionHash


class ApproveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which definitions are approved: these `tools`, or `all` that is pending."""

    tools: Annotated[list[WantedTool], msgspec.Meta(max_length=PINS_PER_SERVER_MAX)] | None = None
    all: bool = False


class DecidedTool(msgspec.Struct, frozen=True):
    """A tool that was decided on, and the definition that is offered from now on."""

    name: str
    definition_hash: str
    decision: Literal["approved", "dismissed"]


class ApproveAnswer(msgspec.Struct, frozen=True):
    """What was decided. What was approved before is not in it."""

    server_id: UUID
    tools: list[DecidedTool]


@get(
    "/api/v1/mcp/servers/{reference:str}/definitions", opt={"scope": MCP_READ}, summary="What was approved", tags=_TAGS
)
async def list_definitions(
    reference: Reference,
    caller: TenantScope,
    state: State,
    status: PinStatus | None = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> DefinitionList:
    """Return the server's tools with what was approved and what waits. A server that never listed them is started."""
    gateway: Gateway = state.gateway
    trust: Trust = state.trust
    server = await gateway.registry.read(caller, reference)
    pins = await trust.pins(caller, server)
    wanted = [pin for _, pin in sorted(pins.tools.items()) if status is None or pin.status == status]
    page = [_shown(pin) for pin in wanted[offset : offset + limit]]
    return DefinitionList(server.id, page, len(wanted), offset, limit)


@post(
    "/api/v1/mcp/servers/{reference:str}/approve",
    opt={"scope": MCP_WRITE},
    status_code=200,
    summary="Approve definitions",
    tags=_TAGS,
)
async def approve(
    reference: Reference, data: ApproveRequest, caller: TenantScope, state: State
) -> Response[ApproveAnswer]:
    """Approve pending definitions, each by its hash, so that nothing is approved that was not looked at.

    One hash that is another by now refuses the whole request (409). Asking twice changes nothing.
    """
    gateway: Gateway = state.gateway
    trust: Trust = state.trust
    server = await gateway.registry.read(caller, reference)
    pinned = await trust.approve(caller, server, _wanted(data))
    decided = [
        DecidedTool(
            event.tool_name,
            event.definition_hash,
            "approved" if isinstance(event, ToolApproved) else "dismissed",
        )
        for event in pinned.events
    ]
    headers = {} if pinned.position is None else {EVENT_POSITION: str(pinned.position)}
    return Response(ApproveAnswer(server.id, decided), headers=headers)


def _wanted(data: ApproveRequest) -> dict[str, str] | None:
    if data.all == (data.tools is not None):
        message = "Name the `tools` with their hashes, or say `all`: true; not both."
        raise Unprocessable(message, faults=[FieldFault("tools", message)])
    if data.tools is None:
        return None
    wanted = {tool.name: tool.definition_hash for tool in data.tools}
    if len(wanted) != len(data.tools):
        message = "A tool is named once."
        raise Unprocessable(message, faults=[FieldFault("tools", message)])
    return wanted


def _shown(pin: Pin) -> DefinitionView:
    approved = pin.approved
    return DefinitionView(
        name=pin.name,
        status=pin.status,
        listed=pin.listed,
        definition_hash=approved.hash if approved else None,
        definition=approved.definition if approved else None,
        approved_at=approved.at if approved else None,
        approved_by=pin.approved_by,
        findings=approved.findings if approved else (),
        pending=_pending(pin, pin.pending) if pin.pending else None,
    )


def _pending(pin: Pin, version: Version) -> PendingDefinition:
    return PendingDefinition(version.hash, version.definition, pin.reason, version.at, pin.diff, version.findings)


DEFINITION_ROUTES: list[Any] = [list_definitions, approve]
