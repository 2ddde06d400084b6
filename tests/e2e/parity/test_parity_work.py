"""Steps that a worker does: `agent`, `rag_query`, `mcp_tool` and `http`."""

from typing import Any

import httpx2
import nats
import pytest

from tests.e2e.conftest import Whole
from tests.e2e.parity.conftest import Agent
from tests.e2e.parity.told import ask, run, value
from tests.e2e.parity.worker import Broken, Task, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_agent(demo: httpx2.AsyncClient, agent: Agent) -> None:
    done = await run(
        demo,
        ask("first", "summarise", "{input.text}", priority=3, timeout_seconds=50),
        ask("second", "shorten", "{first.response}", output_schema={"type": "object"}),
        input_={"text": "a long text"},
    )
    assert (done["status"], done["error"]) == ("completed", None)
    assert agent.payloads(done["id"]) == [
        {"agent_id": "tester", "input": {"instruction": "summarise", "context": "a long text"}},
        {
            "agent_id": "tester",
            "input": {"instruction": "shorten", "context": "summarise a long text"},
            "output_schema": {"type": "object"},
        },
    ]
    assert done["output_data"] == {
        "response": "shorten summarise a long text",
        "agent_id": "tester",
        "usage": {"input_tokens": 1, "output_tokens": 1},
        "task_id": f"{done['id']}/second/1",
    }
    task = next(task for task in agent.tasks if task["execution_id"] == done["id"])
    assert task["tenant_id"] == done["tenant_id"]
    assert task["deadline_ms"] > 0


async def test_an_agents_json_can_be_referred_to(demo: httpx2.AsyncClient, agent: Agent) -> None:
    async def classify(_: Task) -> Any:
        return {"response": '{"confidence": 0.9, "category": "invoice"}', "agent_id": "tester", "usage": {}}

    agent.answer = classify
    done = await run(
        demo,
        ask("classify"),
        {
            "type": "conditional",
            "name": "sure",
            "condition": "$.classify.confidence > 0.8",
            "if_true": value("yes", "{classify.data.category}"),
        },
    )
    assert done["output_data"] == {"condition_result": True, "branch_taken": "if_true", "result": "invoice"}


async def test_an_agent_that_cannot_is_asked_again(demo: httpx2.AsyncClient, agent: Agent) -> None:
    async def third_time(task: Task) -> Any:
        if task["attempt"] < 3:
            raise Broken("rate_limited", retryable=True)
        return {"response": "at last", "agent_id": "tester", "usage": {}}

    agent.answer = third_time
    retry = {"max_attempts": 5, "initial_interval_ms": 20, "jitter": 0}
    done = await run(demo, ask("patient", max_retries=None, retry=retry))
    assert (done["status"], done["output_data"]["response"]) == ("completed", "at last")
    assert done["steps"][0]["retry_count"] == 2
    assert agent.asked(done["id"]) == ["patient"] * 3


async def test_rag_query(whole: Whole, demo: httpx2.AsyncClient) -> None:
    async def retrieve(task: Task) -> Any:
        return {"results": [{"text": f"about {task['payload']['query']}", "score": 0.5}]}

    seed = whole.platform._stack.bus.seed("rag")
    connection = await nats.connect(whole.platform.nats_url, nkeys_seed_str=seed, inbox_prefix="_INBOX_rag")
    worker = Worker(connection, "commands.rag.run-query", "rag", retrieve)
    await worker.start()
    try:
        query = {
            "type": "rag_query",
            "name": "find",
            "collection": "handbook",
            "query": "{input.question}",
            "top_k": 3,
            "filter": {"lang": "{input.lang}"},
        }
        done = await run(demo, query, input_={"question": "leave", "lang": "en"})
        assert done["output_data"] == {"results": [{"text": "about leave", "score": 0.5}]}
        wanted = {"collection": "handbook", "query": "leave", "top_k": 3, "filter": {"lang": "en"}}
        assert worker.payloads(done["id"]) == [wanted]
    finally:
        await worker.stop()
        await connection.close()


async def test_mcp_tool(demo: httpx2.AsyncClient) -> None:
    tool = {
        "type": "mcp_tool",
        "name": "product",
        "server_id": "calculator",
        "tool_name": "multiply",
        "input": {"a": "{input.a}", "b": 7},
        "output_mapping": {"answer": "$.result"},
    }
    done = await run(demo, tool, input_={"a": 6})
    assert done["output_data"] == {"answer": 42}


async def test_http(whole: Whole, demo: httpx2.AsyncClient) -> None:
    absent = {"type": "http", "name": "absent", "url": "{input.site}/nothing", "ok_statuses": [404]}
    done = await run(demo, absent, input_={"site": whole.site.url})
    assert done["status"] == "completed", done["error"]
    assert (done["output_data"]["status"], done["output_data"]["body"]) == (404, {"error": "no such page"})
    refused = await run(demo, absent | {"ok_statuses": [200], "max_retries": 0}, input_={"site": whole.site.url})
    assert (refused["status"], refused["error"]["code"]) == ("failed", "http_status")
    assert refused["error"]["details"]["response"]["status"] == 404


async def test_transform(demo: httpx2.AsyncClient) -> None:
    made = {
        "list": "{input.items}",
        "first": "{input.items[0]}",
        "text": "{input.name | upper}: {input.items | length}",
        "absent": "{input.none | default('n/a')}",
        "{name}": "{{as written}}",
    }
    done = await run(demo, value("made", made), input_={"items": [1, {"a": 2}], "name": "x"})
    assert done["output_data"] == {
        "list": [1, {"a": 2}],
        "first": 1,
        "text": "X: 2",
        "absent": "n/a",
        "{name}": "{as written}",
    }
