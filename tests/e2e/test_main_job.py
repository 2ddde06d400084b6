"""What the platform is for: a workflow is started, its steps are done, and everyone who may know of it does."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.e2e.conftest import Whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORKFLOWS = "/workflows/workflows"
PATIENCE = 20.0
ARITHMETIC = {
    "steps": [
        {
            "type": "mcp_tool",
            "name": "product",
            "server_id": "calculator",
            "tool_name": "multiply",
            "input": {"a": "{input.a}", "b": "{input.b}"},
        },
        {
            "type": "conditional",
            "name": "size",
            "condition": "$.product.result > 100",
            "if_true": {"type": "transform", "name": "large", "input": {"word": "large"}},
            "if_false": {"type": "transform", "name": "small", "input": {"word": "small"}},
        },
    ],
    "output": {"product": "{product.result}", "branch": "{size.branch_taken}"},
}


async def active(client: httpx2.AsyncClient, definition: dict[str, Any]) -> str:
    """Store a definition under a name of its own, activate it, and return its id."""
    stored = await client.post(WORKFLOWS, json={"name": f"Test {uuid4()}", **definition})
    assert stored.status_code == 201, stored.text
    workflow_id: str = stored.json()["id"]
    activated = await client.post(f"{WORKFLOWS}/{workflow_id}/activate")
    assert activated.json()["status"] == "active", activated.text
    return workflow_id


async def execute(client: httpx2.AsyncClient, workflow_id: str, wait: int = 15, **input_data: Any) -> dict[str, Any]:
    body = {"workflow_id": workflow_id, "input_data": input_data, "context": {}}
    answer = await client.post(f"{WORKFLOWS}/execute", json=body, headers={"Prefer": f"wait={wait}"} if wait else {})
    assert answer.is_success, answer.text
    return await execution(client, answer.json()["id"])


async def execution(client: httpx2.AsyncClient, execution_id: str) -> dict[str, Any]:
    answer = await client.get(f"{WORKFLOWS}/executions/{execution_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ended(client: httpx2.AsyncClient, execution_id: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while (found := await execution(client, execution_id))["status"] not in {"completed", "failed", "cancelled"}:
            await asyncio.sleep(0.05)
        return found


async def history(client: httpx2.AsyncClient, execution_id: str) -> list[dict[str, Any]]:
    answer = await client.get(f"{WORKFLOWS}/executions/{execution_id}/events", params={"limit": 200})
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


def short(event_type: str) -> str:
    return event_type.split(".")[1]


async def tenant_connection(whole: Whole, client: httpx2.AsyncClient) -> tuple[Client, str]:
    """Connect to NATS as the client's tenant and return its id beside."""
    tenant_id: str = (await client.get("/auth/me")).json()["tenant_id"]
    token = client.headers["Authorization"].removeprefix("Bearer ")
    connection = await nats.connect(whole.platform.nats_url, token=token, inbox_prefix=f"_INBOX_{tenant_id}")
    return connection, tenant_id


@pytest.mark.parametrize(("a", "b", "branch"), [(6, 7, "if_false"), (20, 7, "if_true")])
async def test_an_execution_runs_to_its_end(demo: httpx2.AsyncClient, a: int, b: int, branch: str) -> None:
    done = await execute(demo, await active(demo, ARITHMETIC), a=a, b=b)
    assert (done["status"], done["error"]) == ("completed", None)
    assert done["output_data"] == {"product": a * b, "branch": branch}
    product = next(step for step in done["steps"] if step["step_name"] == "product")
    assert (product["status"], product["retry_count"]) == ("completed", 0)
    assert product["output_data"]["result"] == a * b


async def test_its_history_begins_with_its_start_and_ends_with_its_end(demo: httpx2.AsyncClient) -> None:
    done = await execute(demo, await active(demo, ARITHMETIC), a=2, b=3)
    events = await history(demo, done["id"])
    types = [short(event["type"]) for event in events]
    assert (types[0], types[-1]) == ("execution-started", "execution-completed")
    assert "step-scheduled" in types
    assert [event["version"] for event in events] == list(
        range(events[0]["version"], events[0]["version"] + len(events))
    )
    positions = [event["position"] for event in events]
    assert positions == sorted(set(positions))


async def test_a_command_on_nats_starts_one_once(demo: httpx2.AsyncClient, operator: Client) -> None:
    command = {
        "execution_id": str(uuid4()),
        "tenant_id": (await demo.get("/auth/me")).json()["tenant_id"],
        "workflow": await active(demo, ARITHMETIC),
        "input": {"a": 6, "b": 7},
        "actor": "service:test",
    }
    for _ in range(2):
        await operator.jetstream().publish("commands.workflow.start-execution", msgspec.json.encode([command]))

    async def known() -> bool:
        return (await demo.get(f"{WORKFLOWS}/executions/{command['execution_id']}")).is_success

    async with asyncio.timeout(PATIENCE):
        while not await known():
            await asyncio.sleep(0.05)
    done = await ended(demo, command["execution_id"])
    assert (done["status"], done["output_data"]["product"]) == ("completed", 42)
    types = [short(event["type"]) for event in await history(demo, done["id"])]
    assert types.count("execution-started") == 1


async def test_its_tenant_hears_its_events_on_nats(whole: Whole, demo: httpx2.AsyncClient) -> None:
    workflow_id = await active(demo, ARITHMETIC)
    connection, tenant_id = await tenant_connection(whole, demo)
    try:
        subscription = await connection.subscribe(f"events.{tenant_id}.workflow.execution.*")
        await connection.flush()
        done = await execute(demo, workflow_id, a=2, b=3)
        heard: list[Msg] = []
        async with asyncio.timeout(PATIENCE):
            while not heard or not heard[-1].subject.endswith(".completed"):
                message = await subscription.next_msg(timeout=PATIENCE)
                if (message.headers or {})["ce-subject"] == done["id"]:
                    heard.append(message)
        assert [message.subject.rpartition(".")[2] for message in heard] == ["started", "completed"]
        first = heard[0].headers or {}
        assert (first["ce-specversion"], first["ce-tenantid"]) == ("1.0", tenant_id)
        assert first["ce-type"] == "workflow.execution-started.v1"
    finally:
        await connection.close()


async def test_a_tenants_connection_hears_nothing_but_its_own_events(whole: Whole, demo: httpx2.AsyncClient) -> None:
    refused = asyncio.Event()

    async def on_error(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            refused.set()

    tenant_id = (await demo.get("/auth/me")).json()["tenant_id"]
    for subject in ("events.>", f"events.{uuid4()}.>", "commands.>", "results.*", "_INBOX.>"):
        refused.clear()
        connection = await nats.connect(
            whole.platform.nats_url,
            token=await whole.token(),
            inbox_prefix=f"_INBOX_{tenant_id}",
            error_cb=on_error,
            allow_reconnect=False,
        )
        await connection.subscribe(subject)
        await asyncio.wait_for(refused.wait(), PATIENCE)
        await connection.close()


async def test_a_credential_that_is_none_is_not_let_in(whole: Whole) -> None:
    async def on_error(_: Exception) -> None:
        """The refusal is what the test waits for."""

    connection = Client()
    with pytest.raises((nats.errors.Error, OSError)):
        await connection.connect(whole.platform.nats_url, token="nonsense", allow_reconnect=False, error_cb=on_error)
    await connection.close()
    answer = httpx2.get(f"{whole.platform.url}/api/v1{WORKFLOWS}", headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


async def test_the_events_are_kept_in_the_stream(demo: httpx2.AsyncClient, operator: Client) -> None:
    done = await execute(demo, await active(demo, ARITHMETIC), a=2, b=3)
    subscription = await operator.jetstream().subscribe(
        f"events.{done['tenant_id']}.workflow.execution.completed", ordered_consumer=True
    )
    async with asyncio.timeout(PATIENCE):
        while ((message := await subscription.next_msg(timeout=PATIENCE)).headers or {})["ce-subject"] != done["id"]:
            pass
    await subscription.unsubscribe()
    assert msgspec.json.decode(message.data)


async def test_a_step_is_tried_again_until_it_succeeds(whole: Whole, demo: httpx2.AsyncClient) -> None:
    order = {
        "type": "http",
        "name": "order",
        "method": "PUT",
        "url": "{input.site}/orders/{execution.id}",
        "retry": {"max_attempts": 4, "initial_interval_ms": 50, "jitter": 0},
    }
    done = await execute(demo, await active(demo, {"steps": [order]}), site=whole.site.url)
    assert done["status"] == "completed", done["error"]
    assert done["steps"][0]["retry_count"] == 2
    assert done["steps"][0]["output_data"]["body"] == {"accepted": True, "requests_seen": 3}
    failures = [event for event in await history(demo, done["id"]) if short(event["type"]) == "step-failed"]
    assert [failure["data"]["error"]["code"] for failure in failures] == ["http_status", "http_status"]


async def test_a_step_that_cannot_succeed_fails_the_execution(demo: httpx2.AsyncClient) -> None:
    step = {
        "type": "mcp_tool",
        "name": "ratio",
        "server_id": "calculator",
        "tool_name": "divide",
        "input": {"a": 1, "b": 0},
    }
    done = await execute(demo, await active(demo, {"steps": [step]}))
    assert (done["status"], done["error"]["code"]) == ("failed", "tool_error")
    assert done["steps"][0]["retry_count"] == 0


async def test_addresses_of_the_machine_itself_are_refused(demo: httpx2.AsyncClient, whole: Whole) -> None:
    step = {
        "type": "http",
        "name": "inside",
        "url": whole.platform.url.replace("localhost", "127.0.0.1"),
        "max_retries": 0,
    }
    done = await execute(demo, await active(demo, {"steps": [step]}))
    assert done["status"] == "failed"
    assert done["error"]["code"] == "address_refused"


async def test_parallel_steps_run_at_the_same_time(demo: httpx2.AsyncClient) -> None:
    delays = [{"type": "delay", "name": f"wait_{number}", "seconds": 0.5} for number in range(5)]
    began = time.monotonic()
    done = await execute(demo, await active(demo, {"steps": [{"type": "parallel", "name": "all", "steps": delays}]}))
    assert done["status"] == "completed", done["error"]
    assert 0.5 <= time.monotonic() - began < 2.0


async def test_the_same_idempotency_key_starts_once(demo: httpx2.AsyncClient) -> None:
    body = {"workflow_id": await active(demo, ARITHMETIC), "input_data": {"a": 1, "b": 1}, "context": {}}
    headers = {"Idempotency-Key": str(uuid4())}
    first, second = [await demo.post(f"{WORKFLOWS}/execute", json=body, headers=headers) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]
    other = await demo.post(f"{WORKFLOWS}/execute", json={**body, "input_data": {"a": 2}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_an_execution_survives_the_death_of_its_service(whole: Whole, demo: httpx2.AsyncClient) -> None:
    steps = [{"type": "delay", "name": "wait", "seconds": 1.5}, *ARITHMETIC["steps"]]
    workflow_id = await active(demo, {"steps": steps})
    begun = await execute(demo, workflow_id, wait=0, a=3, b=4)
    whole.platform.kill("workflow")
    done = await ended(demo, begun["id"])
    assert done["status"] == "completed", done["error"]
    types = [short(event["type"]) for event in await history(demo, begun["id"])]
    assert types.count("execution-started") == types.count("execution-completed") == 1


async def test_another_tenant_sees_nothing_of_it(whole: Whole, demo: httpx2.AsyncClient) -> None:
    done = await execute(demo, await active(demo, ARITHMETIC), a=2, b=3)
    slug = f"other-{uuid4().hex[:8]}"
    owner = {"email": f"{slug}@example.org", "password": f"{uuid4()}-{uuid4()}"}
    made = await demo.post("/tenants", json={"name": "Other", "slug": slug, "owner": owner})
    assert made.status_code == 201, made.text
    async with whole.client_for(slug) as stranger:
        for path in ("", "/events", "/stream"):
            theirs = await stranger.get(f"{WORKFLOWS}/executions/{done['id']}{path}")
            nobodys = await stranger.get(f"{WORKFLOWS}/executions/{uuid4()}{path}")
            assert (theirs.status_code, nobodys.status_code) == (404, 404)
            assert theirs.json()["code"] == nobodys.json()["code"]
        assert (await stranger.get(f"{WORKFLOWS}/executions")).json()["executions"] == []
        assert (await stranger.get(WORKFLOWS)).json()["workflows"] == []
        own = await execute(stranger, await active(stranger, ARITHMETIC), a=2, b=2)
        assert own["output_data"]["product"] == 4
