"""What every client may rely on: repeats, ETags, pages, positions, traces, live streams, time travel, control."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import msgspec
import pytest
from nats.aio.client import Client

from tests.e2e.conftest import Whole
from tests.e2e.test_main_job import ARITHMETIC, WORKFLOWS, active, ended, execute, execution, history, short

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEP = {"type": "transform", "name": "a", "input": "{input}"}
SLOW = {"type": "delay", "name": "pause", "seconds": 30}


async def test_a_create_that_is_repeated_creates_once(demo: httpx2.AsyncClient) -> None:
    body, headers = {"name": f"Once {uuid4()}", "steps": [STEP]}, {"Idempotency-Key": str(uuid4())}
    first, again = [await demo.post(WORKFLOWS, json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await demo.post(WORKFLOWS, json={**body, "tags": ["x"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_refused_request_may_be_mended_under_its_key(demo: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    refused = await demo.post(WORKFLOWS, json={"name": "Mended", "steps": []}, headers=headers)
    assert refused.status_code == 422
    mended = await demo.post(WORKFLOWS, json={"name": f"Mended {uuid4()}", "steps": [STEP]}, headers=headers)
    assert mended.status_code == 201, mended.text


async def test_many_at_once_with_one_key_start_one(demo: httpx2.AsyncClient) -> None:
    body, headers = {"workflow_id": await active(demo, {"steps": [STEP]})}, {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(*(demo.post(f"{WORKFLOWS}/execute", json=body, headers=headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    listed = (await demo.get(f"{WORKFLOWS}/executions", params={"workflow_id": body["workflow_id"]})).json()
    assert listed["total"] == 1


async def test_a_stale_etag_changes_nothing(demo: httpx2.AsyncClient) -> None:
    made = await demo.post(WORKFLOWS, json={"name": f"Tagged {uuid4()}", "steps": [STEP]})
    path, tag = f"{WORKFLOWS}/{made.json()['id']}", made.headers["etag"]
    changed = await demo.patch(path, json={"description": "one"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    stale = await demo.patch(path, json={"description": "two"}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (await demo.get(path)).json()["description"] == "one"
    revisions = (await demo.get(f"{path}/revisions")).json()["revisions"]
    assert [revision["revision"] for revision in revisions] == [2, 1]


async def revisions_of(demo: httpx2.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    answer = await demo.get(f"{path}/revisions", params=params)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_revisions_come_in_pages(demo: httpx2.AsyncClient) -> None:
    path = f"{WORKFLOWS}/{await active(demo, {'steps': [STEP]})}"
    for number in range(2, 6):
        await demo.patch(path, json={"description": f"{number}"})
    seen, cursors, cursor = [], [], {}
    while True:
        page = await revisions_of(demo, path, limit=2, **cursor)
        assert (page["total"], page["limit"]) == (5, 2)
        seen += [revision["revision"] for revision in page["revisions"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        cursors.append(cursor)
    assert (seen, len(cursors)) == ([5, 4, 3, 2, 1], 2)
    skipped = await revisions_of(demo, path, offset=3)
    assert [revision["revision"] for revision in skipped["revisions"]] == [2, 1]
    assert (skipped["offset"], skipped["next_cursor"]) == (3, None)
    assert (await revisions_of(demo, path, offset=5))["revisions"] == []
    for wrong in ({"cursor": "x"}, {"cursor": "9" * 20}, {"limit": 201}, {"limit": 0}, {"offset": -1}):
        refused = await demo.get(f"{path}/revisions", params=wrong)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")


async def test_a_page_of_large_revisions_ends_early(demo: httpx2.AsyncClient) -> None:
    texts = ["x" * 9_900] * 100
    path = f"{WORKFLOWS}/{await active(demo, {'steps': [{**STEP, 'input': texts}]})}"
    for number in range(2, 20):
        changed = await demo.patch(path, json={"description": f"{number}"})
        assert changed.status_code == 200, changed.text
    first = await revisions_of(demo, path)
    assert first["total"] == 19
    assert 1 < len(first["revisions"]) < 19, "about 1 MB each, of 16 MiB"
    second = await revisions_of(demo, path, cursor=first["next_cursor"])
    every = [revision["revision"] for revision in first["revisions"] + second["revisions"]]
    assert every == list(range(19, 0, -1))


async def test_a_running_execution_stays_on_its_revision(demo: httpx2.AsyncClient) -> None:
    workflow = await active(demo, {"steps": [{**SLOW, "seconds": 1}, {**STEP, "input": "first"}]})
    begun = await execute(demo, workflow, wait=0)
    changed = await demo.patch(f"{WORKFLOWS}/{workflow}", json={"steps": [{**STEP, "input": "second"}]})
    assert changed.status_code == 200, changed.text
    assert (await execute(demo, workflow))["output_data"] == "second"
    done = await ended(demo, begun["id"])
    assert (done["workflow_revision"], done["output_data"]) == (1, "first")


async def test_what_never_ran_is_deleted_and_what_did_is_archived(demo: httpx2.AsyncClient) -> None:
    idle, used = [await active(demo, {"steps": [STEP]}) for _ in range(2)]
    await execute(demo, used)
    gone = await demo.delete(f"{WORKFLOWS}/{idle}")
    assert gone.status_code == 204
    assert gone.headers["x-event-position"].isdecimal()
    assert (await demo.get(f"{WORKFLOWS}/{idle}")).status_code == 404
    refused = await demo.delete(f"{WORKFLOWS}/{used}")
    assert (refused.status_code, refused.json()["code"]) == (409, "workflow_in_use")
    assert (await demo.post(f"{WORKFLOWS}/{used}/archive")).json()["status"] == "archived"
    late = await demo.post(f"{WORKFLOWS}/execute", json={"workflow_id": used})
    assert (late.status_code, late.json()["code"]) == (409, "workflow_not_active")


async def test_lists_go_on_by_cursor(demo: httpx2.AsyncClient) -> None:
    tag = f"t{uuid4().hex[:8]}"
    made = [await active(demo, {"steps": [STEP], "tags": [tag]}) for _ in range(5)]
    seen: list[str] = []
    params: dict[str, Any] = {"tag": tag, "limit": 2}
    while True:
        page = (await demo.get(WORKFLOWS, params=params)).json()
        assert page["total"] == 5
        seen += [workflow["id"] for workflow in page["workflows"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == made, "oldest first, each once"
    slug = (await demo.get(f"{WORKFLOWS}/{made[2]}")).json()["slug"]
    assert [w["id"] for w in (await demo.get(WORKFLOWS, params={"slug": slug})).json()["workflows"]] == [made[2]]
    assert (await demo.get(WORKFLOWS, params={"tag": tag, "offset": 9})).json() | {"workflows": []} == {
        "workflows": [], "total": 5, "offset": 9, "limit": 50, "next_cursor": None,
    }  # fmt: skip


async def test_executions_are_listed_newest_first_whatever_their_ids(demo: httpx2.AsyncClient) -> None:
    workflow = await active(demo, {"steps": [STEP]})
    body = {"workflow_id": workflow}
    started = []
    for number in range(6):
        headers = {"Prefer": "wait=10", **({"Idempotency-Key": str(uuid4())} if number % 2 else {})}
        started.append((await demo.post(f"{WORKFLOWS}/execute", json=body, headers=headers)).json()["id"])
        await asyncio.sleep(0.002)  # times are kept in milliseconds
    first = (await demo.get(f"{WORKFLOWS}/executions", params={"workflow_id": workflow, "limit": 4})).json()
    params = {"workflow_id": workflow, "limit": 4, "cursor": first["next_cursor"]}
    second = (await demo.get(f"{WORKFLOWS}/executions", params=params)).json()
    assert [run["id"] for run in first["executions"] + second["executions"]] == started[::-1]
    assert second["next_cursor"] is None


async def test_a_client_reads_its_own_writes(demo: httpx2.AsyncClient) -> None:
    workflow = await active(demo, {"steps": [STEP]})
    done = await execute(demo, workflow)
    last = (await history(demo, done["id"]))[-1]["position"]
    answer = await demo.get(f"{WORKFLOWS}/{workflow}", headers={"X-Min-Event-Position": str(last)})
    assert (answer.status_code, answer.json()["success_count"]) == (200, 1)
    never = await demo.get(f"{WORKFLOWS}/{workflow}", headers={"X-Min-Event-Position": str(last + 10**9)})
    assert (never.status_code, never.json()["code"], never.headers["retry-after"]) == (503, "unavailable", "1")


async def test_one_trace_goes_through_every_service(demo: httpx2.AsyncClient, whole: Whole) -> None:
    trace = f"00-{uuid4().hex}-{uuid4().hex[:16]}-01"
    body = {"workflow_id": await active(demo, ARITHMETIC), "input_data": {"a": 2, "b": 3}}
    answer = await demo.post(f"{WORKFLOWS}/execute", json=body, headers={"traceparent": trace, "Prefer": "wait=10"})
    assert answer.headers["traceparent"] == trace
    calls = (await demo.get("/mcp/executions", params={"tool_name": "multiply", "limit": 1})).json()["executions"]
    database = await asyncpg.connect(whole.platform.postgres_admin_dsn)
    of_run = (
        "SELECT DISTINCT convert_from(meta, 'UTF8')::json ->> 'traceparent' FROM workflow.events WHERE stream_id = $1"
    )
    of_call = "SELECT convert_from(meta, 'UTF8')::json ->> 'traceparent' FROM mcp_gateway.events WHERE stream_id = $1"
    assert [row[0] for row in await database.fetch(of_run, answer.json()["id"])] == [trace]
    assert {row[0] for row in await database.fetch(of_call, calls[0]["id"])} == {trace}
    await database.close()
    problem = await demo.get(f"{WORKFLOWS}/executions/{uuid4()}", headers={"traceparent": trace})
    assert problem.json()["trace_id"] == trace.split("-")[1]


async def test_the_state_as_of_any_event(demo: httpx2.AsyncClient) -> None:
    done = await execute(demo, await active(demo, ARITHMETIC), a=6, b=7)
    path = f"{WORKFLOWS}/executions/{done['id']}/state"
    states = [(await demo.get(path, params={"at_version": v})).json() for v in range(1, done["version"] + 1)]
    assert [state["execution"]["version"] for state in states] == list(range(1, done["version"] + 1))
    assert "product" not in states[1]["scope"]
    assert states[2]["scope"]["product"] == {"result": 42}
    assert states[-1]["execution"] == done


async def test_a_stream_goes_on_where_it_broke_off(demo: httpx2.AsyncClient) -> None:
    workflow = await active(demo, {"steps": [{**SLOW, "seconds": 1}, *ARITHMETIC["steps"]]})
    begun = await execute(demo, workflow, wait=0, a=2, b=3)
    path = f"{WORKFLOWS}/executions/{begun['id']}/stream"
    seen: list[int] = []
    async with demo.stream("GET", path) as stream:
        async for event in events_of(stream):
            seen.append(event["version"])
            if len(seen) == 2:
                break
    async with asyncio.timeout(15), demo.stream("GET", path, headers={"Last-Event-ID": str(seen[-1])}) as stream:
        seen += [event["version"] async for event in events_of(stream)]
    whole_history = await history(demo, begun["id"])
    assert seen == [event["version"] for event in whole_history]
    async with demo.stream("GET", path, headers={"Last-Event-ID": "3"}) as stream:  # long after its end, too
        late = [event async for event in events_of(stream)]
    assert late == whole_history[3:]


async def events_of(stream: httpx2.Response) -> Any:
    async for line in stream.aiter_lines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


async def test_cancelling_ends_what_is_open(demo: httpx2.AsyncClient) -> None:
    fan = {"type": "parallel", "name": "p", "steps": [SLOW, {**SLOW, "name": "other"}]}
    begun = await execute(demo, await active(demo, {"steps": [fan]}), wait=0)
    answer = await demo.post(f"{WORKFLOWS}/executions/{begun['id']}/cancel", json={"reason": "not needed"})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.headers["x-event-position"].isdecimal()
    kinds = [short(event["type"]) for event in await history(demo, begun["id"])]
    assert kinds[-4:] == ["step-cancelled"] * 3 + ["execution-cancelled"]
    again = await demo.post(f"{WORKFLOWS}/executions/{begun['id']}/cancel")
    assert (again.json()["status"], again.json()["version"]) == ("cancelled", answer.json()["version"])


async def test_preferring_to_wait_is_no_more_than_that(demo: httpx2.AsyncClient) -> None:
    body = {"workflow_id": await active(demo, {"steps": [SLOW]})}
    answer = await demo.post(f"{WORKFLOWS}/execute", json=body, headers={"Prefer": "respond-async, wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "waiting")
    assert answer.headers["preference-applied"] == "wait=1"
    assert (await execution(demo, answer.json()["id"]))["status"] == "waiting"
    await demo.post(f"{WORKFLOWS}/executions/{answer.json()['id']}/cancel")


async def test_a_timeout_ends_an_execution(demo: httpx2.AsyncClient) -> None:
    done = await execute(demo, await active(demo, {"steps": [SLOW], "timeout_seconds": 1}))
    assert (done["status"], done["error"]["code"]) == ("failed", "timeout")


async def test_a_read_model_is_built_anew_as_it_was(demo: httpx2.AsyncClient, operator: Client) -> None:
    for _ in range(3):
        await execute(demo, await active(demo, {"steps": [STEP]}))
    await asyncio.sleep(0.5)  # the projection may lag: what it had not read yet is in neither digest
    subject = "commands.workflow.rebuild-projection"
    answer = await operator.request(subject, b'{"name": "workflow_counters"}', timeout=20)
    rebuilt = msgspec.json.decode(answer.data)
    assert rebuilt["events"] >= 6
    assert rebuilt["digest_before"] == rebuilt["digest_after"] != ""
    unknown = msgspec.json.decode((await operator.request(subject, b'{"name": "x"}', timeout=5)).data)
    assert unknown["error"]["code"] == "not_found"


async def test_operations_are_open_to_the_cluster(whole: Whole) -> None:
    async with httpx2.AsyncClient(base_url=whole.platform.url, trust_env=False) as client:
        assert (await client.get("/health/ready")).status_code == 200
        ready = (await client.get("/health/workflow/ready")).json()
        assert (ready["status"], set(ready["checks"])) == ("ok", {"postgres", "nats", "engine"})
        assert (await client.get("/version")).json()["version"]
        described = (await client.get("/docs/workflow/openapi.json")).json()
        assert described["openapi"].startswith("3.1")
        assert f"/api/v1{WORKFLOWS}/executions/{{execution_id}}/state" in described["paths"]
