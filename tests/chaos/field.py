"""Where executions run while something dies: a platform, two workflows, and how each goes when nothing happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
import nats
from nats.aio.client import Client

from tests.chaos.disturbed import Mark, faults, folded, marks
from tests.chaos.storm import Ledger, Start, Storm, starts
from tests.e2e.conftest import Whole

HTTP_SHARE = 10  # one of so many executions has an http step
PATIENCE_S = 90.0
WORKFLOWS = "/workflows/workflows"


def _tool(name: str, tool: str, a: str, b: Any) -> dict[str, Any]:
    return {"type": "mcp_tool", "name": name, "server_id": "calculator", "tool_name": tool, "input": {"a": a, "b": b}}


SUM = [
    _tool("doubled", "multiply", "{input.n}", 2),
    _tool("raised", "add", "{doubled.result}", 7),
    _tool("squared", "multiply", "{raised.result}", "{raised.result}"),
]
LAST = {"type": "transform", "name": "told", "input": {"n": "{input.n}", "squared": "{squared.result}"}}
FETCH = {"type": "http", "name": "stock", "url": "{input.site}/stock.json"}
DEFINITIONS = {"chaos-sum": [*SUM, LAST], "chaos-fetch": [*SUM, FETCH, LAST]}


class Field:
    """Where the executions run, and how each workflow goes when nothing happens."""

    def __init__(self, whole: Whole, http: httpx2.AsyncClient, client: Client, ledger: Ledger, tenant_id: UUID) -> None:
        self.whole = whole
        self.http = http
        self.client = client
        self.ledger = ledger
        self.tenant_id = tenant_id
        self.undisturbed: dict[str, list[Mark]] = {}

    def starts(self, count: int) -> list[Start]:
        slugs = ["chaos-fetch", *["chaos-sum"] * (HTTP_SHARE - 1)]
        return starts(count, slugs, {"site": self.whole.site.url})

    async def ended_events(self) -> set[UUID]:
        """Return the executions whose end was published to the stream of events."""
        js = self.client.jetstream()
        subject = f"events.{self.tenant_id}.workflow.execution.completed"
        state = (await js.stream_info("EVENTS", subjects_filter=subject)).state
        wanted = (state.subjects or {}).get(subject, 0)
        subscription = await js.subscribe(subject, ordered_consumer=True)
        seen = {UUID(((await subscription.next_msg(timeout=10)).headers or {})["ce-subject"]) for _ in range(wanted)}
        await subscription.unsubscribe()
        return seen


@asynccontextmanager
async def field_on(whole: Whole, demo: httpx2.AsyncClient) -> AsyncIterator[Field]:
    """Connect, define the workflows and run each once in peace."""

    async def ignore(_: Exception) -> None:
        """The server is killed on purpose."""

    client = await nats.connect(
        whole.platform.nats_url,
        nkeys_seed_str=whole.platform.operator_seed,
        inbox_prefix=b"_INBOX_operator",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,
        error_cb=ignore,
    )
    for slug, steps in DEFINITIONS.items():
        stored = await demo.post(WORKFLOWS, json={"name": slug, "slug": slug, "steps": steps, "status": "active"})
        assert stored.status_code == 201, stored.text
    tenant_id = UUID((await demo.get("/auth/me")).json()["tenant_id"])
    field = Field(whole, demo, client, Ledger(whole.platform.postgres_admin_dsn), tenant_id)
    quiet = field.starts(HTTP_SHARE)
    await asyncio.wait_for(Storm(client, tenant_id, field.ledger, lambda: None).run(quiet), PATIENCE_S)
    histories = await field.ledger.histories([start.execution_id for start in quiet])
    for start in quiet:
        history = histories[start.execution_id]
        assert len(marks(history)) == len(history), "something disturbed the model"
        field.undisturbed[start.workflow] = marks(history)
    yield field
    await field.ledger.close()
    await client.close()


async def check_histories(field: Field, wanted: list[Start]) -> None:
    """Each is what it would have been undisturbed: nothing lost, nothing twice."""
    histories = await field.ledger.histories([start.execution_id for start in wanted])
    wrong = {
        start.execution_id: found
        for start in wanted
        if (found := faults(histories[start.execution_id], field.undisturbed[start.workflow]))
    }
    assert not wrong
    for start in wanted:
        expected = {"n": start.input["n"], "squared": (start.input["n"] * 2 + 7) ** 2}
        assert folded(histories[start.execution_id]).output == expected
