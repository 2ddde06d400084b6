"""`/api/v1/workflows/retention` and archived executions, over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from services.workflow.adapters.workflows import PostgresWorkflows
from services.workflow.errors import STATUSES
from shared.auth.scopes import TENANTS_ADMIN, WORKFLOWS_READ
from shared.eventstore.postgres import PostgresEventReader
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.scope import TenantScope
from shared.tail.waker import Waker
from tests.conftest import Backbone
from tests.fixtures.retained import STRANGER, TENANT, House, retained

# What the handlers of all services do; the processes do not make an error of it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::litestar.exceptions.LitestarDeprecationWarning", "ignore::DeprecationWarning"
)

WHO = {
    "admin": TenantScope(TENANT, "user:1", frozenset({WORKFLOWS_READ, TENANTS_ADMIN})),
    "viewer": TenantScope(TENANT, "user:2", frozenset({WORKFLOWS_READ})),
    "stranger": TenantScope(STRANGER, "user:3", frozenset({WORKFLOWS_READ, TENANTS_ADMIN})),
}
RETENTION = "/api/v1/workflows/retention"


class Everybody:
    """A verifier whose credentials are names."""

    async def verify(self, credential: str) -> TenantScope:
        return WHO[credential]


class Caller:
    def __init__(self, house: House, client: httpx2.AsyncClient) -> None:
        self.house = house
        self._client = client

    async def get(self, path: str, who: str = "admin") -> Any:
        return await self._client.get(path, headers={"Authorization": f"Bearer {who}"})

    async def put(self, body: Any, who: str = "admin") -> Any:
        return await self._client.put(RETENTION, json=body, headers={"Authorization": f"Bearer {who}"})

    async def execution(self, execution: UUID, more: str = "", who: str = "admin") -> Any:
        return await self.get(f"/api/v1/workflows/workflows/executions/{execution}{more}", who)


@pytest_asyncio.fixture
async def api(backbone: Backbone, tmp_path: Path) -> AsyncIterator[Caller]:
    from services.workflow.entry import executions_api, retention_api, time_travel_api

    register_statuses(STATUSES)
    async with retained(backbone, tmp_path / "archive") as house:
        waker = Waker("workflow")
        reader = PostgresEventReader(house.serving)
        app = make_app(
            "workflow",
            "Workflows",
            [*executions_api.HANDLERS, *retention_api.HANDLERS, *time_travel_api.HANDLERS],
            verifier=Everybody(),  # type: ignore[arg-type]
            registry=CollectorRegistry(),
            readiness={},
            state={
                "executions": house.reads,
                "workflows": PostgresWorkflows(house.serving, reader, waker),
                "retention": house.retention,
                "waker": waker,
            },
        )
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            yield Caller(house, client)


async def test_an_archived_execution_answers_by_its_id(api: Caller) -> None:
    execution = await api.house.execution(await api.house.workflow())
    live = [(await api.execution(execution, more)).json() for more in ("", "/events", "/state", "/status")]
    assert not live[0]["archived"]
    await api.house.archive()
    await api.house.erase_events([execution])
    for more, before in zip(("", "/events", "/state", "/status"), live, strict=True):
        answer = await api.execution(execution, more)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        (told["execution"] if more == "/state" else told)["archived"] = False
        assert told == before
        assert (await api.execution(execution, more)).json() != before
        assert (await api.execution(execution, more, "stranger")).status_code == 404
        assert (await api.execution(uuid4(), more)).status_code == 404


async def test_looking_back_at_an_archived_execution_tells_what_it_told_before(api: Caller) -> None:
    execution = await api.house.execution(await api.house.workflow())
    live = [(await api.execution(execution, more)).json() for more in ("/diff?from=1", "/replay")]
    assert live[0]["changes"]
    assert live[1]["same"]
    await api.house.archive()
    await api.house.erase_events([execution])
    for more, before in zip(("/diff?from=1", "/replay"), live, strict=True):
        assert (await api.execution(execution, more)).json() == before


async def test_an_archive_that_cannot_be_read_is_said_to_be_so(api: Caller) -> None:
    execution = await api.house.execution(await api.house.workflow())
    await api.house.archive()
    await api.house.erase_events([execution])
    api.house.files()[0].unlink()
    answer = await api.execution(execution)
    assert (answer.status_code, answer.json()["code"]) == (503, "archive_unreadable")
    assert (await api.execution(execution, "/status")).status_code == 200


async def test_a_policy_is_set_seen_and_removed(api: Caller) -> None:
    workflow, wishes = await api.house.workflow(), await api.house.workflow(retention_days=9)
    assert (await api.put({"days": 20})).json()["tenant_days"] == 20
    told = (await api.put({"days": 7, "workflow_id": str(workflow)})).json()
    assert (told["platform_days"], told["tenant_days"]) == (30, 20)
    assert {(w["workflow_id"], w["days"], w["source"]) for w in told["workflows"]} == {
        (str(workflow), 7, "policy"), (str(wishes), 9, "definition"),
    }  # fmt: skip
    assert (await api.get(RETENTION, "viewer")).json() == told
    strange = (await api.get(RETENTION, "stranger")).json()
    assert (strange["tenant_days"], strange["workflows"]) == (None, [])
    assert (await api.put({"days": None})).json()["tenant_days"] is None
    assert (await api.put({"days": None})).status_code == 200


async def test_what_is_archived_and_due_is_counted(api: Caller) -> None:
    await api.house.execution(await api.house.workflow())
    assert (await api.get(RETENTION)).json()["due"] == 1
    await api.house.archive()
    told = (await api.get(RETENTION)).json()
    assert (told["due"], told["archived_executions"], told["archived_objects"]) == (0, 1, 1)
    assert told["archived_bytes"] > 0


@pytest.mark.parametrize(
    "body", [{}, {"days": 0}, {"days": 3651}, {"days": 1.5}, {"days": 5, "more": 1}, [], {"days": "x"}]
)
async def test_a_policy_that_cannot_be_is_refused(api: Caller, body: Any) -> None:
    answer = await api.put(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_only_administrators_set_policies_and_only_for_what_is_theirs(api: Caller) -> None:
    workflow = await api.house.workflow()
    assert (await api.put({"days": 5}, "viewer")).json()["code"] == "forbidden"
    foreign = await api.put({"days": 5, "workflow_id": str(workflow)}, "stranger")
    assert foreign.json()["code"] == "workflow_not_found"
