"""Roles are sets of scopes. An owner is an admin whom only another owner can make or remove."""

from typing import Literal

import msgspec

from shared.auth import scopes
from shared.errors import Forbidden

Role = Literal["owner", "admin", "developer", "viewer"]

_VIEWER = frozenset({scopes.WORKFLOWS_READ, scopes.MCP_READ, scopes.RAG_READ, scopes.AGENTS_READ})
_DEVELOPER = scopes.ALL_SCOPES - {scopes.TENANTS_ADMIN, scopes.AUDIT_READ}

SCOPES: dict[str, frozenset[str]] = {
    "owner": scopes.ALL_SCOPES,
    "admin": scopes.ALL_SCOPES,
    "developer": _DEVELOPER,
    "viewer": _VIEWER,
}

OPERATOR_ACTOR = "user:operator"
"""Whoever holds the platform's operator key, in the name of any tenant. No user has this id: theirs are UUIDs."""


class Actor(msgspec.Struct, frozen=True):
    """Who commands, and with which powers."""

    name: str
    scopes: frozenset[str]
    owner: bool

    def require_within(self, wanted: frozenset[str]) -> None:
        """Raise `Forbidden` if this would give away a scope that the actor does not have."""
        beyond = sorted(wanted - self.scopes)
        if beyond:
            raise Forbidden(f"You cannot give what you do not have: {', '.join(beyond)}.")

    def require_owner_for(self, role: str) -> None:
        """Raise `Forbidden` if the role is an owner's and the actor is none."""
        if role == "owner" and not self.owner:
            raise Forbidden("Only an owner can make or remove an owner.")
