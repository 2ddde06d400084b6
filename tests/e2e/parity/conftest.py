"""Workers of agents and of retrieval that the tests tell what to do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio
from nats.aio.client import Client

from tests.e2e.conftest import Whole
from tests.e2e.parity.worker import Broken, Task, Worker


class Agent(Worker):
    """An agent that does what its instruction says.

    `fail` fails as long as it stands in `broken`, `hold` waits for `release`; all else is answered with the
    instruction and the context as they came.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client, "commands.agent.run-task", "agent", self._obey)
        self.broken = True
        self.held: dict[str, asyncio.Event] = {}

    def release(self, path: str) -> None:
        """Let a held task be done, now or when it comes."""
        self.held.setdefault(path, asyncio.Event()).set()

    async def _obey(self, task: Task) -> Any:
        wanted = task["payload"]["input"]
        if wanted["instruction"] == "hold":
            await self.held.setdefault(task["step_path"], asyncio.Event()).wait()
        if wanted["instruction"] == "fail" and self.broken:
            raise Broken
        return {
            "response": f"{wanted['instruction']} {wanted.get('context', '')}".strip(),
            "agent_id": task["payload"]["agent_id"],
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }


@pytest_asyncio.fixture(loop_scope="session")
async def agent(operator: Client) -> AsyncIterator[Agent]:
    worker = Agent(operator)
    await worker.start()
    yield worker
    await worker.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stranger(whole: Whole, demo: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """The client of another tenant."""
    slug = f"stranger-{uuid4().hex[:8]}"
    owner = {"email": f"{slug}@example.org", "password": f"{uuid4()}-{uuid4()}"}
    made = await demo.post("/tenants", json={"name": "Stranger", "slug": slug, "owner": owner})
    assert made.status_code == 201, made.text
    async with whole.client_for(slug) as client:
        yield client


@pytest.fixture
def subject() -> str:
    """A subject of one test."""
    return f"parity-{uuid4().hex[:8]}"
