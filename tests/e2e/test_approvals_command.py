"""`agentic approvals`: what is pending is listed with its title and decided on, page by page if need be."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.e2e.test_bad_input import refused
from tests.e2e.test_command_line import agentic
from tests.e2e.test_main_job import WORKFLOWS, active, ended, execute

pytestmark = pytest.mark.asyncio(loop_scope="session")

APPROVALS = "/workflows/approvals"


async def asked(demo: httpx2.AsyncClient, count: int, **step: Any) -> tuple[str, list[str]]:
    """Start executions that ask somebody of this test; return who, and the approvals, the first one first."""
    who = f"user:{uuid4()}"
    workflow = await active(demo, {"steps": [{"type": "approval", "name": "sign", "assignees": [who], **step}]})
    found = []
    for number in range(count):
        await execute(demo, workflow, wait=0)
        found = await listed(demo, who, number + 1)
    return who, [approval["id"] for approval in reversed(found)]


async def listed(demo: httpx2.AsyncClient, who: str, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while len(found := (await demo.get(APPROVALS, params={"assignee": who})).json()["approvals"]) < count:
            await asyncio.sleep(0.05)
    return list(found)


@pytest.mark.parametrize(("verb", "done", "approved"), [("approve", "approved", True), ("reject", "rejected", False)])
async def test_what_is_pending_is_listed_and_decided(
    demo: httpx2.AsyncClient, command: dict[str, str], verb: str, done: str, approved: bool
) -> None:
    workflow = await active(demo, {"steps": [{"type": "approval", "name": "sign", "title": "Pay [it]?"}]})
    execution = (await execute(demo, workflow, wait=0))["id"]
    async with asyncio.timeout(60):
        while not (found := (await demo.get(APPROVALS, params={"workflow_id": workflow})).json()["approvals"]):
            await asyncio.sleep(0.05)
    shown = await agentic({**command, "COLUMNS": "300"}, "approvals", "list")
    assert shown.code == 0, shown.err
    [row] = [line for line in shown.out.splitlines() if found[0]["id"] in line]
    assert "Pay [it]?" in row
    assert execution in row
    decided = await agentic(command, "approvals", verb, found[0]["id"], "--comment", "as agreed")
    assert decided.code == 0, decided.err
    assert decided.out.startswith(f"{done}; the execution {execution} is ")
    over = await ended(demo, execution)
    assert over["output_data"]["approved"] is approved
    again = await agentic(command, "approvals", verb, found[0]["id"])
    assert again.code == 1
    assert "execution_ended" in again.err


async def test_those_asked_for_last_come_first_and_without_a_title_the_name_stands(
    demo: httpx2.AsyncClient, command: dict[str, str]
) -> None:
    who, ids = await asked(demo, 3)
    said = await agentic(command, "approvals", "list", "--assignee", who, "--json")
    assert said.code == 0, said.err
    assert [json.loads(line)["id"] for line in said.out.splitlines()] == ids[::-1]
    two = await agentic({**command, "COLUMNS": "300"}, "approvals", "list", "--assignee", who, "--limit", "2")
    rows = two.out.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [[id_, "sign"] for id_ in ids[:0:-1]]


async def test_a_decision_waits_for_the_position_that_it_names(demo: httpx2.AsyncClient) -> None:
    _, [approval] = await asked(demo, 1)
    path, body = f"{APPROVALS}/{approval}", {"approved": True}
    await refused(await demo.post(path, json=body, headers={"X-Min-Event-Position": "x"}), 400, "invalid_input")
    await refused(await demo.post(path, json=body, headers={"X-Min-Event-Position": "9" * 17}), 503, "unavailable")


async def test_a_decision_follows_its_question_at_once(demo: httpx2.AsyncClient) -> None:
    workflow = await active(demo, {"steps": [{"type": "approval", "name": "sign"}]})
    for _ in range(5):
        started = await demo.post(f"{WORKFLOWS}/execute", json={"workflow_id": workflow})
        position = {"X-Min-Event-Position": started.headers["x-event-position"]}
        found = await demo.get(APPROVALS, params={"workflow_id": workflow}, headers=position)
        [approval] = found.json()["approvals"]
        decided = await demo.post(f"{APPROVALS}/{approval['id']}", json={"approved": True}, headers=position)
        assert decided.status_code == 200, decided.text
        assert (await ended(demo, started.json()["id"]))["status"] == "completed"
