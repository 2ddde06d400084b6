"""Schedules on the whole platform, whose clock is the real one: the next moment is moved to now instead."""

import asyncio
import datetime as dt
from typing import Any

import asyncpg
import httpx2
import pytest

from tests.e2e.conftest import Whole
from tests.e2e.test_main_job import PATIENCE, WORKFLOWS, active, ended

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEP = {"type": "transform", "name": "a", "input": "{input}"}


async def test_an_unfit_schedule_is_refused_and_a_fit_one_is_taken(demo: httpx2.AsyncClient) -> None:
    trigger = {"type": "schedule", "cron": "0 9 * * MON-FRI", "timezone": "Europe/Berln"}
    refused = await demo.post(f"{WORKFLOWS}/validate", json={"name": "x", "steps": [STEP], "triggers": [trigger]})
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["path"], error["code"]) == (422, "triggers[0].timezone", "bad_timezone")
    assert "Europe/Berlin" in error["message"]
    workflow = await active(demo, {"steps": [STEP], "triggers": [{**trigger, "timezone": "Europe/Berlin"}]})
    assert (await demo.get(f"{WORKFLOWS}/{workflow}")).json()["triggers"][0]["timezone"] == "Europe/Berlin"


async def test_a_schedule_that_is_due_starts_one_execution(demo: httpx2.AsyncClient, whole: Whole) -> None:
    trigger = {"type": "schedule", "cron": "* * * * *", "input": {"at": "{schedule.time}"}}
    workflow = await active(demo, {"steps": [STEP], "triggers": [trigger]})
    database = await asyncpg.connect(whole.platform.postgres_admin_dsn)
    moment = await database.fetchval(
        "UPDATE workflow.schedules SET next_fire_at = date_trunc('minute', now()) WHERE workflow_id = $1 "
        "RETURNING next_fire_at",
        workflow,
    )
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while not found:
            answer = await demo.get(f"{WORKFLOWS}/executions", params={"workflow_id": workflow})
            found = answer.json()["executions"]
            await asyncio.sleep(0.05)
    done = await ended(demo, found[-1]["id"])
    # The first of them: where a minute begins meanwhile there is one more.
    assert done["output_data"] == {"at": done["context"]["schedule"]["time"]}
    assert dt.datetime.fromisoformat(done["context"]["schedule"]["time"]) >= moment
    assert done["context"]["schedule"]["timezone"] == "UTC"
    place = "SELECT next_fire_at FROM workflow.schedules WHERE workflow_id = $1"
    async with asyncio.timeout(PATIENCE):  # it moves on once the start is durable
        while await database.fetchval(place, workflow) <= moment:
            await asyncio.sleep(0.05)
    await demo.post(f"{WORKFLOWS}/{workflow}/archive")
    left = await database.fetchval("SELECT count(*) FROM workflow.schedules WHERE workflow_id = $1", workflow)
    assert left == 0
    await database.close()
