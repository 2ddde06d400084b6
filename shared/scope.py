"""Who is asking. Made at the edge from a verified credential and passed down as a type, never as a bare string."""

from uuid import UUID

import msgspec

from shared.errors import Forbidden


class TenantScope(msgspec.Struct, frozen=True):
    """A tenant, who acts in its name (`user:<id>`, `key:<id>`, `service:<name>`) and with which scopes."""

    tenant_id: UUID
    actor: str
    scopes: frozenset[str] = frozenset()

    def require(self, scope: str) -> None:
        """Raise `Forbidden` unless the credential carries `scope` (such as `workflows:execute`)."""
        if scope not in self.scopes:
            raise Forbidden(f"This needs the scope {scope!r}, which your credential does not have.")
