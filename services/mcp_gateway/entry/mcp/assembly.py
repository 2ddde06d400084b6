"""Puts the MCP endpoint together."""

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.changes import Changes
from services.mcp_gateway.app.offers import Offers
from services.mcp_gateway.app.policy import Policies
from services.mcp_gateway.app.ports import ServerRequests
from services.mcp_gateway.app.profiles import Profiles
from services.mcp_gateway.entry.mcp.endpoint import McpEndpoint, keep_sessions
from services.mcp_gateway.entry.mcp.handshake import HandshakeEra
from services.mcp_gateway.entry.mcp.held import HeldCalls
from services.mcp_gateway.entry.mcp.methods import Methods
from services.mcp_gateway.entry.mcp.modern import ModernEra
from services.mcp_gateway.entry.mcp.sessions import Sessions
from services.mcp_gateway.entry.mcp.tool_calls import CallTool
from shared.runtime import Runtime


def make_endpoint(
    rt: Runtime,
    calls: ToolCalls,
    offers: Offers,
    requests: ServerRequests,
    changes: Changes,
    profiles: Profiles,
    policies: Policies,
    hosts: str,
) -> McpEndpoint:
    """Return the application for `/mcp`, with its background work."""
    methods = Methods(offers, requests, CallTool(offers, profiles, calls), changes, profiles, policies)
    sessions, held = Sessions(), HeldCalls()
    modern = ModernEra(methods, changes, held)
    handshake = HandshakeEra(methods, changes, sessions)
    closing = (modern.close, handshake.close, held.close)
    rt.background("mcp sessions", lambda: keep_sessions(sessions, rt.stopping, *closing))
    names = frozenset(name.strip().lower() for name in hosts.split(",") if name.strip())
    return McpEndpoint(rt.verifier, profiles.known, modern, handshake, names)
