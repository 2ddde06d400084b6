"""The examples of docs/triggers.md, pasted one after another as they stand."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.test_main_job import PATIENCE, WORKFLOWS, ended

pytestmark = pytest.mark.asyncio(loop_scope="session")

GUIDE = Path(__file__).parents[2] / "docs" / "triggers.md"
PATIENCE_S = 120.0


async def started(client: httpx2.AsyncClient, slug: str) -> dict[str, Any]:
    """Return the first execution of a workflow, ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            [workflow] = (await client.get(WORKFLOWS, params={"slug": slug})).json()["workflows"]
            listed = await client.get(f"{WORKFLOWS}/executions", params={"workflow_id": workflow["id"]})
            if runs := listed.json()["executions"]:
                return await ended(client, runs[-1]["id"])
            await asyncio.sleep(0.1)


async def test_the_examples_work_when_pasted(demo: httpx2.AsyncClient, command: dict[str, str], tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    path = f"{Path(sys.executable).parent}{os.pathsep}{command['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=tmp_path,
        env={**command, "PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    said = out.decode()
    assert process.returncode == 0, said + err.decode()
    assert "Hello Ada" in said
    assert "202 Accepted" in said, said
    assert "previous_valid_until" in said
    ordered = await started(demo, "orders")
    assert ordered["input_data"]["order"] == "A-17"
    paid = await started(demo, "paid")
    assert paid["input_data"] == {"order": "A-17", "subject": "external.orders.north.paid"}
    assert paid["context"]["event"]["depth"] == 0
    [report] = (await demo.get(WORKFLOWS, params={"slug": "morning-report"})).json()["workflows"]
    assert report["status"] == "active"
