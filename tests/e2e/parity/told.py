"""What the tests of parity say and see."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from tests.e2e.test_main_job import WORKFLOWS, active, execution

PATIENCE_S = 60.0
EXECUTIONS = f"{WORKFLOWS}/executions"


def ask(name: str, instruction: str = "say", context: Any = "", **fields: Any) -> dict[str, Any]:
    """Return a step of an agent of the tests; without retries unless it says so."""
    told = {"instruction": instruction, "context": context}
    return {"type": "agent", "name": name, "agent_id": "tester", "input": told, "max_retries": 0, **fields}


def value(name: str, input_: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "transform", "name": name, "input": input_, **fields}


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    """Return what `holds` gives once that is something."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await holds()):
            await asyncio.sleep(0.02)
        return found


async def run(client: httpx2.AsyncClient, *steps: dict[str, Any], input_: Any = None, **fields: Any) -> dict[str, Any]:
    """Run a workflow of these steps to its end."""
    return await ended(client, await begin(client, *steps, input_=input_, **fields))


async def begin(client: httpx2.AsyncClient, *steps: dict[str, Any], input_: Any = None, **fields: Any) -> str:
    """Start a workflow of these steps and return the execution's id."""
    return await start(client, await active(client, {"steps": list(steps), **fields}), input_)


async def start(client: httpx2.AsyncClient, workflow_id: str, input_: Any = None) -> str:
    body = {"workflow_id": workflow_id, "input_data": {} if input_ is None else input_}
    answer = await client.post(f"{WORKFLOWS}/execute", json=body)
    assert answer.status_code == 202, answer.text
    execution_id: str = answer.json()["id"]
    return execution_id


async def ended(client: httpx2.AsyncClient, execution_id: str) -> dict[str, Any]:
    """Return an execution once it has ended."""
    return await status(client, execution_id, "completed", "failed", "cancelled")


async def status(client: httpx2.AsyncClient, execution_id: str, *wanted: str) -> dict[str, Any]:
    """Return an execution once it has one of these statuses."""

    async def holds() -> bool:
        return (await client.get(f"{EXECUTIONS}/{execution_id}/status")).json()["status"] in wanted

    await until(holds)
    return await execution(client, execution_id)


async def step(client: httpx2.AsyncClient, execution_id: str, path: str, *wanted: str) -> dict[str, Any]:
    """Return a step once it has one of these statuses."""

    async def holds() -> Any:
        found = step_of(await execution(client, execution_id), path)
        return found if found is not None and found["status"] in wanted else None

    found: dict[str, Any] = await until(holds)
    return found


def step_of(shown: dict[str, Any], path: str) -> dict[str, Any] | None:
    return next((found for found in shown["steps"] if found["step_path"] == path), None)


def statuses(shown: dict[str, Any]) -> dict[str, str]:
    return {found["step_path"]: found["status"] for found in shown["steps"]}


async def events(client: httpx2.AsyncClient, execution_id: str) -> list[dict[str, Any]]:
    """Return the whole history."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        answer = await client.get(f"{EXECUTIONS}/{execution_id}/events", params={"after": after})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["events"]
        after = page["next_after"]
    return found


async def tell(client: httpx2.AsyncClient, execution_id: str, control: str, body: Any = None, **headers: str) -> Any:
    """Tell an execution something and return what it then is."""
    answer = await client.post(f"{EXECUTIONS}/{execution_id}/{control}", json=body or {}, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


async def refused(client: httpx2.AsyncClient, execution_id: str, control: str, body: Any = None) -> tuple[int, str]:
    """Tell an execution something that it refuses; return the status and the code."""
    answer = await client.post(f"{EXECUTIONS}/{execution_id}/{control}", json=body or {})
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]
