"""Bad input gets a typed problem at the right status, and the platform goes on."""

import json
import sys
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.e2e.conftest import FAULT_SERVER, Whole
from tests.e2e.test_main_job import ARITHMETIC, WORKFLOWS, active, ended, execute

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEP = {"type": "transform", "name": "a", "input": 1}


def definition(*steps: Any, **fields: Any) -> dict[str, Any]:
    return {"name": f"Bad {uuid4()}", "steps": list(steps) or [STEP], **fields}


async def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem.get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    return problem


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"', b"\xff\xfe", b'{"name": NaN}', b"[" * 100_000])
async def test_what_is_no_json_object(demo: httpx2.AsyncClient, body: bytes) -> None:
    for path in (WORKFLOWS, f"{WORKFLOWS}/validate"):
        await refused(await demo.post(path, content=body), 400, "invalid_input")


@pytest.mark.parametrize(
    ("bad", "path", "code"),
    [
        (definition(colour="red"), "colour", "unknown_field"),
        (definition({**STEP, "colour": "red"}), "steps[0].colour", "unknown_field"),
        (definition({**STEP, "type": "teleport"}), "steps[0]", "unknown_step_type"),
        (definition(STEP, STEP), "steps[1].name", "duplicate_name"),
        (definition({**STEP, "when": "$.input.x >"}), "steps[0].when", "condition_invalid"),
        (definition({**STEP, "input": "{nobody.field}"}), "steps[0].input", "reference_unknown"),
        (definition({**STEP, "input": "{input.x | shout}"}), "steps[0].input", "template_invalid"),
        (definition({**STEP, "name": "input"}), "steps[0].name", "reserved_name"),
        ({"name": "No steps", "steps": []}, "steps", "no_steps"),
        ({"steps": [STEP]}, "name", "missing_field"),
        (definition(timeout_seconds="soon"), "timeout_seconds", "wrong_type"),
    ],
)
async def test_a_definition_is_refused_with_the_place_of_the_fault(
    demo: httpx2.AsyncClient, bad: dict[str, Any], path: str, code: str
) -> None:
    for route in (WORKFLOWS, f"{WORKFLOWS}/validate"):
        problem = await refused(await demo.post(route, json=bad), 422, "definition_invalid")
        assert (path, code) in [(fault["path"], fault["code"]) for fault in problem["errors"]], problem["errors"]


async def test_all_faults_are_told_at_once_with_positions(demo: httpx2.AsyncClient) -> None:
    bad = definition({**STEP, "when": "$.a ==", "input": "ok {input.x} and {nobody.y}"}, {**STEP, "name": "9"})
    problem = await refused(await demo.post(f"{WORKFLOWS}/validate", json=bad), 422, "definition_invalid")
    assert len(problem["errors"]) == 3
    positions = {fault["code"]: fault.get("position") for fault in problem["errors"]}
    assert positions["reference_unknown"] == len("ok {input.x} and ")
    assert positions["condition_invalid"] is not None


async def test_a_status_is_not_set_by_the_way(demo: httpx2.AsyncClient) -> None:
    await refused(await demo.post(WORKFLOWS, json=definition(status="paused")), 400, "invalid_input")
    workflow = await active(demo, {"steps": [STEP]})
    await refused(await demo.patch(f"{WORKFLOWS}/{workflow}", json={"status": "draft"}), 400, "invalid_input")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_input"),
        (b'{"workflow_id": "area", "input_dat": {}}', 400, "invalid_input"),
        (b'{"input_data": {}}', 400, "invalid_input"),
        (b'{"workflow_id": "no-such-workflow"}', 404, "workflow_not_found"),
        (b'{"workflow_id": "0190b0c0-0000-7000-8000-000000000000"}', 404, "workflow_not_found"),
        (b'{"workflow_id": 7}', 400, "invalid_input"),
        (b'{"workflow_id": ""}', 400, "invalid_input"),
        (b'{"workflow_id": "a\\u0000b"}', 400, "invalid_input"),
        (b'{"workflow_id": "%s"}' % (b"a" * 256), 400, "invalid_input"),
        (b'{"workflow_id": "%s"}' % (b"a" * 255), 404, "workflow_not_found"),
    ],
)
async def test_an_execution_is_refused(demo: httpx2.AsyncClient, body: bytes, status: int, code: str) -> None:
    await refused(await demo.post(f"{WORKFLOWS}/execute", content=body), status, code)


@pytest.mark.parametrize("workflow_id", ["", "a\x00b", "a" * 256])
async def test_a_fork_of_a_workflow_that_cannot_be_is_refused(demo: httpx2.AsyncClient, workflow_id: str) -> None:
    done = await execute(demo, await active(demo, {"steps": [STEP]}))
    body = {"from_step": "a", "workflow_id": workflow_id}
    await refused(await demo.post(f"{WORKFLOWS}/executions/{done['id']}/fork", json=body), 400, "invalid_input")


@pytest.mark.parametrize("last", ["x", "-1", "", "4294967296", "0" * 12 + "9" * 12, "9" * 5_000])
async def test_a_last_event_id_that_is_no_version_is_refused(demo: httpx2.AsyncClient, last: str) -> None:
    done = await execute(demo, await active(demo, {"steps": [STEP]}))
    path = f"{WORKFLOWS}/executions/{done['id']}/stream"
    await refused(await demo.get(path, headers={"Last-Event-ID": last}), 400, "invalid_input")


async def test_an_input_is_held_against_its_schema(demo: httpx2.AsyncClient) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}, "t": {"type": "string"}}}
    workflow = await active(demo, {"steps": [STEP], "input_schema": schema})
    bad = {"workflow_id": workflow, "input_data": {"n": "seven", "t": 7}}
    problem = await refused(await demo.post(f"{WORKFLOWS}/execute", json=bad), 422, "input_invalid")
    assert {fault["path"] for fault in problem["errors"]} == {"n", "t"}


async def test_two_mebibytes_are_too_many(demo: httpx2.AsyncClient) -> None:
    workflow = await active(demo, {"steps": [STEP]})
    large = {"workflow_id": workflow, "input_data": {"text": "x" * (2 * 1024 * 1024)}}
    problem = await refused(await demo.post(f"{WORKFLOWS}/execute", json=large), 413, "too_large")
    assert problem["errors"][0]["path"] == "input_data"
    await refused(await demo.post(WORKFLOWS, json=definition(description="x" * 2_000_000)), 413, "too_large")
    for size in (4_500_000, 9_000_000):  # above what a service reads, and above what the edge lets through
        answer = await demo.post(WORKFLOWS, content=b" " * size)
        assert answer.status_code == 413, answer.text
    wide = {"workflow_id": workflow, "input_data": "é" * 700_000}
    assert len(json.dumps(wide, ensure_ascii=False).encode()) > 1024 * 1024
    answer = await demo.post(f"{WORKFLOWS}/execute", content=json.dumps(wide, ensure_ascii=False).encode())
    await refused(answer, 413, "too_large")


async def test_text_that_cannot_be_stored_is_no_size(demo: httpx2.AsyncClient) -> None:
    workflow = await active(demo, {"steps": [STEP]})
    answer = await demo.post(f"{WORKFLOWS}/execute", content=b'{"workflow_id":"%s","input_data":"\\u0000"}'
                             % workflow.encode())  # fmt: skip
    await refused(answer, 400, "invalid_input")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{WORKFLOWS}?limit=0", 400),
        (f"{WORKFLOWS}?limit=201", 400),
        (f"{WORKFLOWS}?offset=-1", 400),
        (f"{WORKFLOWS}?cursor=nonsense", 400),
        (f"{WORKFLOWS}?q=%00", 400),
        (f"{WORKFLOWS}?tag=%00", 400),
        (f"{WORKFLOWS}?category=%00", 400),
        (f"{WORKFLOWS}?status=asleep", 400),
        (f"{WORKFLOWS}/executions?status=asleep", 400),
        (f"{WORKFLOWS}/executions?cursor=AAAA", 400),
        (f"{WORKFLOWS}/executions/{uuid4()}/events?after=99999999999", 400),
        (f"{WORKFLOWS}/executions/{uuid4()}/state?at_version=99999999999", 400),
        (f"{WORKFLOWS}/executions/{uuid4()}/state?at_version=0", 400),
        (f"{WORKFLOWS}/executions/{uuid4()}", 404),
        (f"{WORKFLOWS}/executions/not-an-id", 404),
        ("/workflows/nothing", 404),
        ("/nothing", 404),
    ],
)
async def test_a_question_that_makes_no_sense(demo: httpx2.AsyncClient, path: str, status: int) -> None:
    answer = await demo.get(path)
    assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text


async def test_headers_that_make_no_sense(demo: httpx2.AsyncClient) -> None:
    workflow = await active(demo, {"steps": [STEP]})
    run = (await execute(demo, workflow))["id"]
    for last in ("x", "-1", "9" * 40, "٣"):
        headers = {"Last-Event-ID": last.encode()}
        answer = await demo.get(f"{WORKFLOWS}/executions/{run}/stream", headers=headers)  # type: ignore[arg-type]
        await refused(answer, 400, "invalid_input")
    answer = await demo.patch(f"{WORKFLOWS}/{workflow}", json={"description": "d"}, headers={"If-Match": '"x"'})
    await refused(answer, 400, "invalid_input")
    answer = await demo.post(WORKFLOWS, json=definition(), headers={"Idempotency-Key": "k" * 300})
    await refused(answer, 400, "invalid_input")
    answer = await demo.get(WORKFLOWS, headers={"X-Min-Event-Position": "soon"})
    await refused(answer, 400, "invalid_input")


async def test_no_credential_and_too_little(whole: Whole) -> None:
    async with httpx2.AsyncClient(base_url=f"{whole.platform.url}/api/v1", trust_env=False) as nobody:
        answer = await nobody.get(WORKFLOWS)
        await refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
        answer = await nobody.get(WORKFLOWS, headers={"Authorization": "Bearer nonsense"})
        await refused(answer, 401, "unauthenticated")
    async with whole.client_for("demo") as owner:
        made = await owner.post("/api-keys", json={"name": f"k{uuid4().hex[:8]}", "scopes": ["workflows:read"]})
        assert made.status_code == 201, made.text
        reader = {"Authorization": f"Bearer {made.json()['key']}"}
        assert (await owner.get(WORKFLOWS, headers=reader)).status_code == 200
        await refused(await owner.post(WORKFLOWS, json=definition(), headers=reader), 403, "forbidden")


def tool(server: str, name: str, arguments: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "type": "mcp_tool", "name": "t", "server_id": server, "tool_name": name, "input": arguments,
        "retry": {"max_attempts": 1}, **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (tool("nobody", "add", {"a": 1, "b": 2}), "tool_not_found"),
        (tool("calculator", "teleport", {}), "tool_not_found"),
        (tool("calculator", "add", {"a": 1}), "arguments_invalid"),
        (tool("calculator", "divide", {"a": 1, "b": 0}), "tool_error"),
        (tool("calculator", "power", {"base": 9, "exponent": 999999999}), "tool_error"),
        ({**STEP, "input": "{input.missing}"}, "template_unresolved"),
        ({"type": "http", "name": "h", "url": "http://127.0.0.1:1/", "retry": {"max_attempts": 1}}, "address_refused"),
        ({"type": "http", "name": "h", "url": "{input.url}", "retry": {"max_attempts": 1}}, "http_request_invalid"),
    ],
)
async def test_a_step_fails_with_its_code(demo: httpx2.AsyncClient, step: dict[str, Any], code: str) -> None:
    done = await execute(demo, await active(demo, {"steps": [step]}), url="gopher://example.org")
    assert (done["status"], done["error"]["code"]) == ("failed", code), done["error"]
    assert done["error"]["step"] == step["name"]
    assert done["error"]["message"]


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("dies_mid_call", "server_died"),
        ("never_answers", "tool_timeout"),
        ("garbage", "protocol_violation"),
        ("exits_at_once", "server_unavailable"),
        ("huge_result", "result_too_large"),
    ],
)
async def test_a_server_that_misbehaves_fails_its_step_and_nothing_else(
    demo: httpx2.AsyncClient, mode: str, code: str
) -> None:
    name = f"s{uuid4().hex[:8]}"
    server = {"name": name, "server_type": "stdio", "command": sys.executable, "args": [str(FAULT_SERVER), mode]}
    made = await demo.post("/mcp/servers", json=server)
    assert made.status_code == 201, made.text
    workflow = await active(demo, {"steps": [tool(name, "tool0", {}, timeout_seconds=3)]})
    begun = await execute(demo, workflow, wait=0)
    sound = await execute(demo, await active(demo, ARITHMETIC), a=6, b=7)
    assert sound["output_data"]["product"] == 42
    done = await ended(demo, begun["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", code), done["error"]
    direct = {"server_id": name, "tool_name": "tool0", "tool_input": {}, "timeout_seconds": 1}
    answer = await demo.post("/mcp/execute", json=direct)
    assert answer.status_code in {502, 503, 504}, answer.text
    assert answer.json()["code"] == code


async def test_a_command_that_is_not_allowed_is_refused(demo: httpx2.AsyncClient) -> None:
    for command, args in ((sys.executable, ["-c", "print(1)"]), ("/bin/sh", ["-c", "id"]), ("calculator", [])):
        server = {"name": "Mine", "server_type": "stdio", "command": command, "args": args}
        await refused(await demo.post("/mcp/servers", json=server), 422, "command_not_allowed")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"server_id": "nobody", "tool_name": "add", "tool_input": {}}, 404, "not_found"),
        ({"server_id": "calculator", "tool_name": "teleport", "tool_input": {}}, 404, "tool_not_found"),
        ({"server_id": "calculator", "tool_name": "add", "tool_input": {"a": "x", "b": 1}}, 422, "arguments_invalid"),
        ({"server_id": "calculator", "tool_name": "add", "tool_inputs": {}}, 400, "invalid_input"),
        ({"server_id": "calculator", "tool_name": "add", "tool_input": []}, 400, "invalid_input"),
    ],
)
async def test_a_tool_call_is_refused(demo: httpx2.AsyncClient, body: dict[str, Any], status: int, code: str) -> None:
    await refused(await demo.post("/mcp/execute", json=body), status, code)


async def test_after_all_that_the_platform_is_well(demo: httpx2.AsyncClient, whole: Whole) -> None:
    done = await execute(demo, await active(demo, ARITHMETIC), a=20, b=7)
    assert done["output_data"] == {"product": 140, "branch": "if_true"}
    async with httpx2.AsyncClient(base_url=whole.platform.url, trust_env=False) as client:
        assert (await client.get("/health/ready")).status_code == 200
