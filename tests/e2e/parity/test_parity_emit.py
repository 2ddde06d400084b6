"""`emit`: what an execution tells the world."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx2
import nats
import nats.errors
import pytest
from nats.aio.client import Client

from tests.e2e.conftest import Whole
from tests.e2e.parity.told import EXECUTIONS, events, run, until, value
from tests.e2e.test_main_job import PATIENCE, WORKFLOWS, active, execution, short, tenant_connection

pytestmark = pytest.mark.asyncio(loop_scope="session")


def emit(subject: str, data: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "emit", "name": "tell", "subject": subject, "input": data, **fields}


async def test_its_tenant_hears_what_it_emits(whole: Whole, demo: httpx2.AsyncClient, subject: str) -> None:
    connection, tenant_id = await tenant_connection(whole, demo)
    try:
        heard = await connection.subscribe(f"events.{tenant_id}.external.{subject}.>")
        await connection.flush()
        step = emit(subject + ".{input.kind}", {"sum": "{input.sum}", "ü": [None]}, event_type="order.paid.v1")
        done = await run(demo, step, input_={"kind": "paid", "sum": 7})
        assert done["output_data"] == {"subject": f"{subject}.paid", "event_type": "order.paid.v1"}
        message = await heard.next_msg(timeout=PATIENCE)
        emitted = next(event for event in await events(demo, done["id"]) if short(event["type"]) == "event-emitted")
        assert message.subject == f"events.{tenant_id}.external.{subject}.paid"
        assert json.loads(message.data) == {"sum": 7, "ü": [None]}
        headers = message.headers or {}
        said = {name: headers[name] for name in ("ce-specversion", "ce-type", "ce-source", "ce-depth", "ce-tenantid")}
        assert said == {
            "ce-specversion": "1.0",
            "ce-type": "order.paid.v1",
            "ce-source": "/workflow",
            "ce-depth": "1",
            "ce-tenantid": tenant_id,
        }
        assert headers["ce-id"] == f"{done['id']}.{emitted['version']}"
        assert headers["content-type"] == "application/json"
        with pytest.raises(nats.errors.TimeoutError):
            await heard.next_msg(timeout=1)  # once, and not beside it as a fact of the workflow service
    finally:
        await connection.close()


async def test_what_it_emits_starts_others_once(demo: httpx2.AsyncClient, operator: Client, subject: str) -> None:
    trigger = {"type": "event", "subject": f"external.{subject}.*", "condition": "$.event.type == 'order.paid'"}
    heard = await active(demo, {"steps": [value("seen", "{input.sum}")], "triggers": [trigger]})
    await asyncio.sleep(1.5)  # definitions are looked up anew each second
    done = await run(demo, emit(f"{subject}.paid", {"sum": 7}, event_type="order.paid"))

    async def started() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await demo.get(EXECUTIONS, params={"workflow_id": heard})).json()["executions"]
        return found

    [begun] = await until(started)
    shown = await execution(demo, begun["id"])
    assert shown["context"]["event"]["id"].startswith(done["id"])
    assert shown["context"]["event"]["subject"] == f"external.{subject}.paid"
    await until(lambda: _settled(operator))
    assert len(await started()) == 1
    assert (await demo.get(f"{WORKFLOWS}/{heard}")).is_success


async def test_nobody_else_can_put_an_event_there(whole: Whole, demo: httpx2.AsyncClient, subject: str) -> None:
    refused = asyncio.Event()

    async def on_error(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            refused.set()

    tenant_id = (await demo.get("/auth/me")).json()["tenant_id"]
    connection = await nats.connect(
        whole.platform.nats_url,
        token=await whole.token(),
        inbox_prefix=f"_INBOX_{tenant_id}",
        error_cb=on_error,
        allow_reconnect=False,
    )
    await connection.publish(f"emitted.{uuid4()}.{subject}", b"{}")
    await asyncio.wait_for(refused.wait(), PATIENCE)
    await connection.close()


async def _settled(operator: Client) -> bool:
    """Whether all that was emitted, and all that was said outside, has been read for triggers."""
    js = operator.jetstream()
    readers = [
        await js.consumer_info("EMITTED", "workflow-emitted"),
        await js.consumer_info("EXTERNAL", "workflow-triggers"),
    ]
    return all(reader.num_pending == 0 and reader.num_ack_pending == 0 for reader in readers)
