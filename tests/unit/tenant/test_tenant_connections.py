"""What a credential may hear and say on NATS, scope by scope."""

from uuid import UUID

import pytest

from services.tenant.app.connections import subjects_of
from services.tenant.domain.roles import SCOPES
from shared.auth.scopes import ALL_SCOPES
from shared.scope import TenantScope

TENANT = UUID(int=1)
OWN = f"events.{TENANT}"


def subjects(*scopes: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return subjects_of(TenantScope(TENANT, "key:x", frozenset(scopes)))


@pytest.mark.parametrize(
    ("scope", "heard", "said"),
    [
        ("workflows:read", ["workflow"], []),
        ("mcp:read", ["mcp_gateway"], []),
        ("rag:read", ["rag"], []),
        ("agents:read", ["agent"], []),
        ("tenants:admin", ["tenant"], []),
        ("audit:read", ["tenant"], []),
        ("workflows:execute", ["external"], ["external"]),
        *((scope, [], []) for scope in sorted(ALL_SCOPES) if scope.endswith(":write")),
        ("mcp:execute", [], []),
        ("agents:execute", [], []),
    ],
)
def test_each_scope_by_itself(scope: str, heard: list[str], said: list[str]) -> None:
    publish, subscribe = subjects(scope)
    assert publish == tuple(f"{OWN}.{name}.>" for name in said)
    assert subscribe == tuple(f"{OWN}.{name}.>" for name in heard)


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_who_may_hear_every_service_hears_all(role: str) -> None:
    assert subjects(*SCOPES[role]) == ((f"{OWN}.external.>",), (f"{OWN}.>",))


def test_a_developer_hears_all_but_the_tenant_and_a_viewer_nothing_external() -> None:
    _, developer = subjects(*SCOPES["developer"])
    _, viewer = subjects(*SCOPES["viewer"])
    assert {s.split(".")[2] for s in developer} == {"workflow", "mcp_gateway", "rag", "agent", "external"}
    assert {s.split(".")[2] for s in viewer} == {"workflow", "mcp_gateway", "rag", "agent"}
