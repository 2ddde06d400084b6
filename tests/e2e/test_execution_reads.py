"""Executions are labelled, found, counted and paged through HTTP and the command line."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.e2e.test_command_line import agentic
from tests.e2e.test_main_job import PATIENCE, WORKFLOWS, active

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXECUTIONS = f"{WORKFLOWS}/executions"
LABELLED: dict[str, Any] = {
    "steps": [{"type": "transform", "name": "a", "input": {"n": "{input.n | default(0)}"}}],
    "search_attributes": {"order": "{input.order}", "customer": "c-{input.customer}", "tenant": "{tenant.id}"},
}
FAILING: dict[str, Any] = {"steps": [{"type": "transform", "name": "a", "input": "{input.missing}"}]}


async def run(client: httpx2.AsyncClient, workflow: str, **body: Any) -> httpx2.Response:
    headers = {"Prefer": "wait=15"}
    return await client.post(f"{WORKFLOWS}/execute", json={"workflow_id": workflow, **body}, headers=headers)


async def ids(client: httpx2.AsyncClient, **params: Any) -> list[str]:
    answer = await client.get(EXECUTIONS, params=params)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["total_is_exact"] is True
    return [found["id"] for found in page["executions"]]


async def test_an_execution_is_found_by_what_it_was_given_and_by_what_its_definition_renders(
    demo: httpx2.AsyncClient,
) -> None:
    workflow = await active(demo, LABELLED)
    mark = uuid4().hex
    first = (
        await run(
            demo,
            workflow,
            input_data={"order": 7, "customer": mark},
            attributes={"big": True, "weight": 1.5},
            tags=[mark, "eu"],
            priority=9,
        )
    ).json()
    second = (await run(demo, workflow, input_data={"customer": mark}, attributes={"order": "7"})).json()
    assert first["attributes"] == {
        "order": 7, "customer": f"c-{mark}", "tenant": first["tenant_id"], "big": True, "weight": 1.5
    }  # fmt: skip
    assert (first["tags"], first["priority"], first["trigger"]) == ([mark, "eu"], 9, "http")
    assert second["attributes"]["order"] == "7"
    both = [second["id"], first["id"]]
    assert await ids(demo, attribute=f"customer:c-{mark}") == both
    assert await ids(demo, attribute=["order:7", f"customer:c-{mark}"]) == both
    assert await ids(demo, attribute=[f"customer:c-{mark}", "big:true", "weight:1.5"]) == [first["id"]]
    assert await ids(demo, tag=mark) == [first["id"]]
    assert await ids(demo, tag=[mark, "eu"], workflow_id=workflow, status=["completed", "failed"]) == [first["id"]]
    assert await ids(demo, tag=mark, status="failed") == []
    slug = (await demo.get(f"{WORKFLOWS}/{workflow}")).json()["slug"]
    assert await ids(demo, workflow_id=slug, trigger="http") == both
    assert await ids(demo, workflow_id=slug, started_before=first["started_at"]) == []
    assert await ids(demo, workflow_id=slug, started_after=first["started_at"]) == both
    assert await ids(demo, workflow_id=slug, ended_after=second["completed_at"]) == [second["id"]]
    [row] = (await demo.get(EXECUTIONS, params={"tag": mark})).json()["executions"]
    assert {name: row[name] for name in ("attributes", "tags", "trigger", "input_data", "steps")} == {
        "attributes": first["attributes"], "tags": first["tags"], "trigger": "http", "input_data": None, "steps": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "path", "code"),
    [
        ({"attributes": {"a b": 1}}, "attributes['a b']", "bad_name"),
        ({"attributes": {"#": 1}}, "attributes['#']", "bad_name"),
        ({"attributes": {"x" * 65: 1}}, f"attributes.{'x' * 65}", "bad_name"),
        ({"attributes": {"a": [1]}}, "attributes.a", "wrong_type"),
        ({"attributes": {"a": None}}, "attributes.a", "wrong_type"),
        ({"attributes": {"a": "x" * 257}}, "attributes.a", "too_large"),
        ({"attributes": {"a": "\u0000"}}, "attributes.a", "not_json"),
        ({"attributes": {"a": 2**70}}, "attributes.a", "number_out_of_range"),
        ({"attributes": {f"a{n}": n for n in range(21)}}, "attributes", "too_many"),
        ({"tags": ["x" * 65]}, "tags[0]", "bad_tag"),
        ({"tags": ["ok", ""]}, "tags[1]", "bad_tag"),
        ({"tags": [str(n) for n in range(21)]}, "tags", "too_many"),
        ({"input_data": {"order": {"id": 1}}}, "attributes.order", "wrong_type"),
        ({"input_data": {"order": "x" * 300}}, "attributes.order", "too_large"),
    ],
)
async def test_labels_that_nothing_could_be_found_by_are_refused(
    demo: httpx2.AsyncClient, labels: dict[str, Any], path: str, code: str
) -> None:
    workflow = await active(demo, LABELLED)
    answer = await run(demo, workflow, **labels)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert (problem["code"], problem["errors"][0]["path"], problem["errors"][0]["code"]) == (
        "attributes_invalid", path, code
    )  # fmt: skip
    assert await ids(demo, workflow_id=workflow) == []


@pytest.mark.parametrize(
    ("search", "code"),
    [
        ({"1a": "x"}, "bad_name"),
        ({"a": "{step.x}"}, "reference_unknown"),
        ({"a": "{secret.KEY}"}, "secret_not_allowed"),
        ({"a": "{input.x | nofilter}"}, "template_invalid"),
    ],
)
async def test_search_attributes_are_checked_with_the_definition(
    demo: httpx2.AsyncClient, search: dict[str, Any], code: str
) -> None:
    answer = await demo.post(f"{WORKFLOWS}/validate", json={"name": "x", **LABELLED, "search_attributes": search})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["code"] == code
    assert answer.json()["errors"][0]["path"].startswith("search_attributes")


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"attribute": "customer"}, 400),
        ({"attribute": "a b:c"}, 400),
        ({"attribute": "#:x"}, 400),
        ({"attribute": f"a:{'x' * 400}"}, 400),
        ({"attribute": "a:\u0000"}, 400),
        ({"tag": "\u0000"}, 400),
        ({"tag": [str(n) for n in range(6)]}, 400),
        ({"status": ["completed", "asleep"]}, 400),
        ({"started_after": "yesterday"}, 400),
        ({"started_after": "9999-12-31T23:59:59-14:00"}, 400),
        ({"workflow_id": "no-such-slug"}, 404),
        ({"started_after": "0001-01-01T00:00:00Z", "ended_before": "9999-12-31T23:59:59Z", "limit": 1}, 200),
        ({"attribute": "a:", "workflow_id": str(uuid4())}, 200),
    ],
)
async def test_filters_that_mean_nothing_are_refused(
    demo: httpx2.AsyncClient, params: dict[str, Any], status: int
) -> None:
    answer = await demo.get(EXECUTIONS, params=params)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("stats", {"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, 400),
        ("stats", {"from": "2000-01-01T00:00:00Z"}, 400),
        ("stats", {"from": "0001-01-01T00:00:00Z", "to": "0001-01-03T00:00:00Z"}, 200),
        ("stats", {"to": "0001-01-03T00:00:00Z"}, 400),
        ("stats", {"period": "year"}, 400),
        ("stats", {"workflow_id": "no-such-slug"}, 404),
        ("approvals", {"status": "asleep"}, 400),
        ("approvals", {"cursor": "AAAA"}, 400),
        ("approvals", {"assignee": "\u0000"}, 400),
        ("approvals", {"status": "all", "assignee": "ann"}, 200),
        (f"approvals/{uuid4()}", {}, 404),
        ("waits", {"kind": "rain"}, 400),
        ("waits", {"kind": "event", "status": "all"}, 200),
    ],
)
async def test_other_reads_take_what_they_say(
    demo: httpx2.AsyncClient, path: str, params: dict[str, Any], status: int
) -> None:
    answer = await demo.get(f"/workflows/{path}", params=params)
    assert answer.status_code == status, answer.text


async def test_stats_count_what_ran(demo: httpx2.AsyncClient) -> None:
    good, bad = await active(demo, LABELLED), await active(demo, FAILING)
    for workflow in (good, good, bad):
        answer = await run(demo, workflow)
    failed = answer.json()
    assert failed["error_code"] == "template_unresolved"
    async with asyncio.timeout(PATIENCE):
        while (seen := (await demo.get("/workflows/stats", params={"workflow_id": bad})).json())["totals"][
            "failed"
        ] < 1:
            await asyncio.sleep(0.05)
    assert seen["totals"] == {"started": 1, "completed": 0, "failed": 1, "cancelled": 0}
    assert seen["duration_ms"] == {"p50": None, "p95": None, "p99": None}
    seen = (await demo.get("/workflows/stats", params={"workflow_id": good, "period": "hour"})).json()
    assert seen["totals"]["completed"] == 2
    assert seen["duration_ms"]["p99"] >= seen["duration_ms"]["p50"] > 0
    assert [w["workflow_id"] for w in seen["workflows"]] == [good]
    assert {o["status"]: o["executions"] for o in seen["open"]} == {
        "pending": 0, "running": 0, "waiting": 0, "paused": 0
    }  # fmt: skip


async def test_the_command_line_lists_and_counts(demo: httpx2.AsyncClient, command: dict[str, str]) -> None:
    workflow, mark = await active(demo, LABELLED), uuid4().hex
    made = [(await run(demo, workflow, tags=[mark], attributes={"n": n})).json()["id"] for n in range(3)][::-1]
    wanted = ("executions", "list", "--tag", mark, "--workflow", workflow)
    told = await agentic(command, *wanted, "--json")
    assert [json.loads(line)["id"] for line in told.out.splitlines()] == made, told
    told = await agentic(command, *wanted, "--attribute", "n:1", "--status", "completed", "--status", "failed")
    assert (made[1] in told.out, made[0] in told.out, told.code) == (True, False, 0), told
    told = await agentic(command, *wanted, "--limit", "2", "--json")
    assert len(told.out.splitlines()) == 2
    refused = await agentic(command, "executions", "list", "--started-after", "soon")
    assert refused.code != 0
    async with asyncio.timeout(PATIENCE):
        while True:
            told = await agentic(command, "stats", "--workflow", workflow, "--by", "hour", "--json")
            if json.loads(told.out)["totals"]["completed"] == 3:
                break
    told = await agentic(command, "stats", "--workflow", workflow)
    assert told.code == 0, told
    assert "COMPLETED" in told.out
