"""Concurrency keys through HTTP: who waits, who is refused, who makes room, what becomes of one that is cancelled."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from nats.aio.client import Client

from tests.e2e.conftest import Whole
from tests.e2e.test_main_job import PATIENCE, WORKFLOWS, active, ended, execution, tenant_connection

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNTIL_TOLD = {"type": "wait_for_event", "name": "told", "event": "go", "timeout_seconds": 600}


async def limited(client: httpx2.AsyncClient, when_full: str, limit: int = 1, **fields: Any) -> str:
    rule = {"key": "{input.key}", "limit": limit, "when_full": when_full}
    return await active(client, {"steps": [UNTIL_TOLD], "concurrency": rule, **fields})


async def start(client: httpx2.AsyncClient, workflow_id: str, key: str = "a", **headers: str) -> httpx2.Response:
    body = {"workflow_id": workflow_id, "input_data": {"key": key}}
    return await client.post(f"{WORKFLOWS}/execute", json=body, headers=headers)


async def started(client: httpx2.AsyncClient, workflow_id: str, key: str = "a") -> dict[str, Any]:
    answer = await start(client, workflow_id, key)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def tell(client: httpx2.AsyncClient, execution_id: str, what: str) -> httpx2.Response:
    return await client.post(f"{WORKFLOWS}/executions/{execution_id}/{what}")


async def finish(client: httpx2.AsyncClient, execution_id: str) -> None:
    answer = await client.post(f"{WORKFLOWS}/executions/{execution_id}/signals/go", json={"data": None})
    assert answer.is_success, answer.text
    assert (await ended(client, execution_id))["status"] == "completed"


async def until(client: httpx2.AsyncClient, execution_id: str, status: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await execution(client, execution_id))["status"] != status:
            await asyncio.sleep(0.05)


async def pending(client: httpx2.AsyncClient, workflow_id: str) -> list[str]:
    query = {"workflow_id": workflow_id, "status": "pending"}
    listed = (await client.get(f"{WORKFLOWS}/executions", params=query)).json()["executions"]
    return [row["id"] for row in listed]


async def test_who_comes_later_waits_and_says_for_what(demo: httpx2.AsyncClient) -> None:
    workflow = await limited(demo, "queue")
    first, second, third = [await started(demo, workflow) for _ in range(3)]
    assert first["status"] in {"running", "waiting"}
    assert first["queued_for"] is None
    assert (second["status"], second["queued_for"]) == ("pending", {"key": "a", "position": 1})
    assert (third["status"], third["queued_for"]) == ("pending", {"key": "a", "position": 2})
    assert (await started(demo, workflow, "b"))["status"] != "pending", "another key is another queue"
    assert await pending(demo, workflow) == [third["id"], second["id"]]
    await finish(demo, first["id"])
    await until(demo, second["id"], "waiting")
    assert (await execution(demo, third["id"]))["queued_for"] == {"key": "a", "position": 1}
    assert (await execution(demo, second["id"]))["queued_for"] is None
    await finish(demo, second["id"])
    await until(demo, third["id"], "waiting")
    await finish(demo, third["id"])


async def test_one_that_is_cancelled_in_the_queue_never_begins(demo: httpx2.AsyncClient) -> None:
    workflow = await limited(demo, "queue")
    first, second, third = [await started(demo, workflow) for _ in range(3)]
    cancelled = await tell(demo, second["id"], "cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert await pending(demo, workflow) == [third["id"]]
    await finish(demo, first["id"])
    await until(demo, third["id"], "waiting")
    assert (await execution(demo, second["id"]))["steps"] == []
    await finish(demo, third["id"])


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_an_end_of_any_kind_makes_room(demo: httpx2.AsyncClient, how: str) -> None:
    workflow = await limited(demo, "queue")
    first, second = await started(demo, workflow), await started(demo, workflow)
    assert (await tell(demo, first["id"], how)).json()["status"] == "cancelled"
    await until(demo, second["id"], "waiting")
    await finish(demo, second["id"])


async def test_who_comes_when_it_is_full_is_refused_and_told_what_to_do(demo: httpx2.AsyncClient) -> None:
    workflow = await limited(demo, "reject", 2)
    first, second = await started(demo, workflow), await started(demo, workflow)
    refused = await start(demo, workflow, **{"Idempotency-Key": f"of {workflow}"})
    assert (refused.status_code, refused.json()["code"]) == (409, "concurrency_limit")
    assert "'a'" in refused.json()["detail"]
    assert await pending(demo, workflow) == []
    await finish(demo, first["id"])
    again = await start(demo, workflow, **{"Idempotency-Key": f"of {workflow}"})
    assert again.status_code == 202, again.text
    for execution_id in (second["id"], again.json()["id"]):
        await finish(demo, execution_id)


async def test_the_newest_takes_the_place_of_the_oldest_once_that_is_undone(demo: httpx2.AsyncClient) -> None:
    booked = {"type": "transform", "name": "book", "input": 1, "compensate": [{**UNTIL_TOLD, "name": "undone"}]}
    workflow = await limited(demo, "cancel_oldest", steps=[booked, UNTIL_TOLD])
    oldest, newest = await started(demo, workflow), await started(demo, workflow)
    assert newest["status"] == "pending"
    assert (await execution(demo, oldest["id"]))["status"] in {"running", "waiting"}, "it undoes what it did"
    await demo.post(f"{WORKFLOWS}/executions/{oldest['id']}/signals/go", json={"data": None})
    gone = await ended(demo, oldest["id"])
    assert gone["status"] == "cancelled"
    await until(demo, newest["id"], "waiting")
    await finish(demo, newest["id"])


async def test_a_retry_that_finds_no_room_is_refused(demo: httpx2.AsyncClient) -> None:
    workflow = await limited(demo, "queue")
    first = await started(demo, workflow)
    await tell(demo, first["id"], "cancel")
    second = await started(demo, workflow)
    refused = await tell(demo, first["id"], "retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "concurrency_limit")
    await finish(demo, second["id"])
    assert (await tell(demo, first["id"], "retry")).status_code == 200
    await until(demo, first["id"], "waiting")
    await finish(demo, first["id"])


async def test_a_child_that_finds_no_room_fails_its_step(demo: httpx2.AsyncClient) -> None:
    child = await limited(demo, "reject")
    holder = await started(demo, child)
    step = {"type": "workflow", "name": "run", "workflow": child, "input": {"key": "a"}, "max_retries": 1}
    step["retry"] = {"initial_interval_ms": 10}
    parent = await started(demo, await active(demo, {"steps": [step]}))
    failed = await ended(demo, parent["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "concurrency_limit")
    assert failed["steps"][0]["retry_count"] == 1
    await finish(demo, holder["id"])


async def test_data_that_gives_no_key_is_refused(demo: httpx2.AsyncClient) -> None:
    workflow = await limited(demo, "queue")
    body = {"workflow_id": workflow, "input_data": {}}
    refused = await demo.post(f"{WORKFLOWS}/execute", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "concurrency_key_invalid")
    assert "input.key" in refused.json()["detail"]


async def test_an_event_that_finds_no_room_starts_nothing_and_is_no_dead_letter(
    whole: Whole, demo: httpx2.AsyncClient, operator: Client
) -> None:
    subject = f"external.slots.{uuid4().hex}"
    trigger = {"type": "event", "subject": subject, "input": {"key": "a"}}
    workflow = await limited(demo, "reject", triggers=[trigger])
    js = operator.jetstream()
    letters = (await js.stream_info("DEADLETTER")).state.messages
    before = (await js.stream_info("EXTERNAL")).state.last_seq
    connection, tenant = await tenant_connection(whole, demo)
    for _ in range(3):
        await connection.publish(f"events.{tenant}.{subject}", b"{}")
    await connection.close()
    async with asyncio.timeout(PATIENCE):
        while (await js.stream_info("EXTERNAL")).state.last_seq < before + 3:
            await asyncio.sleep(0.05)
        while (seen := await js.consumer_info("EXTERNAL", "workflow-triggers")).num_pending or seen.num_ack_pending:
            await asyncio.sleep(0.05)
    listed = (await demo.get(f"{WORKFLOWS}/executions", params={"workflow_id": workflow})).json()["executions"]
    assert len(listed) == 1
    assert (await js.stream_info("DEADLETTER")).state.messages == letters
    await finish(demo, listed[0]["id"])
