"""Secrets of a whole platform: set on the command line, used by workflows, and nowhere to be read."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest

from shared.settings import SERVICES
from tests.e2e.conftest import Whole
from tests.e2e.test_command_line import agentic
from tests.e2e.test_main_job import WORKFLOWS, active, ended, execute, history

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def until(demo: httpx2.AsyncClient, workflow: str, status: str) -> dict[str, Any]:
    """Run a workflow until it ends so: a change of a secret reaches every service in a moment."""
    async with asyncio.timeout(20):
        while (run := await ended(demo, (await execute(demo, workflow))["id"]))["status"] != status:
            await asyncio.sleep(0.05)
    return run


async def traces(whole: Whole, value: str) -> list[str]:
    """Return where a value can be read: in tables, and in files of the data directory but those of a tenant."""
    found = []
    admin = await asyncpg.connect(whole.platform.postgres_admin_dsn)
    try:
        tables = await admin.fetch(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND table_schema = ANY($1::text[])",
            list(SERVICES),
        )
        assert len(tables) >= 15
        for schema, table in tables:
            rows = await admin.fetch(f'SELECT t::text FROM "{schema}"."{table}" t')
            if any(value in row[0] or value.encode().hex() in row[0] for row in rows):
                found.append(f"{schema}.{table}")
    finally:
        await admin.close()
    for file in await asyncio.to_thread(lambda: [*whole.data_dir.rglob("*")]):
        ours = file.is_file() and not {"tenants", "postgres"} & {*file.parts}
        if ours and value.encode() in await asyncio.to_thread(file.read_bytes):
            found.append(str(file))
    return found


async def test_the_life_of_a_secret_on_the_command_line(
    demo: httpx2.AsyncClient, command: dict[str, str], tmp_path: Path
) -> None:
    name = f"CLI_{uuid4().hex}"
    value = f"value-{uuid4()}"
    first = await agentic(command, "secrets", "set", name, "--description", "of [a] test", said=f"{value}\n".encode())
    assert (first.code, first.out) == (0, f"{name} has version 1\n"), first.err
    file = tmp_path / "value"
    file.write_text(value + "-2\n\n")
    second = await agentic(command, "secrets", "set", name, "--value-file", str(file), "--json")
    assert json.loads(second.out)["version"] == 2, second.err
    listed = await agentic({**command, "COLUMNS": "300"}, "secrets", "list")
    [row] = [line for line in listed.out.splitlines() if name in line]
    assert row.split()[:2] == [name, "2"]
    as_json = await agentic(command, "secrets", "list", "--json")
    assert name in [json.loads(line)["name"] for line in as_json.out.splitlines()]
    gone = await agentic(command, "secrets", "delete", name)
    assert (gone.code, gone.out) == (0, f"{name} is deleted\n")
    again = await agentic(command, "secrets", "delete", name)
    assert (again.code, "not_found" in again.err) == (1, True)
    for said in (first, second, listed, as_json, gone, again):
        assert value not in said.out + said.err
    assert (await demo.get("/secrets")).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("NAME", "value-in-the-open"), b"", 2),
        (("NAME",), b"", 2),
        (("NAME",), b"\n", 2),
        (("NAME",), b"x" * 16385, 2),
        (("NAME",), b"\xff", 2),
        (("NAME", "--value-file", "/nowhere"), b"", 2),
        (("no name",), b"x", 1),
        (("NAME",), b"a\0b", 1),
    ],
)
async def test_what_the_command_line_refuses(
    command: dict[str, str], arguments: tuple[str, ...], said: bytes, code: int
) -> None:
    refused = await agentic(command, "secrets", "set", *arguments, said=said)
    assert refused.code == code, (refused.out, refused.err)
    assert "Traceback" not in refused.err


async def test_a_workflow_uses_secrets_and_records_none(
    demo: httpx2.AsyncClient, whole: Whole, command: dict[str, str]
) -> None:
    names = [f"{word}_{uuid4().hex}" for word in ("ORDER", "CONTENT")]
    values = [f"order-{uuid4()}", f"content-{uuid4()}"]
    for name, value in zip(names, values, strict=True):
        made = await agentic(command, "secrets", "set", name, said=value.encode())
        assert made.code == 0, made.err
    file = f"{uuid4()}.txt"
    # The supplier refuses the first two requests of each order: what is said of these is recorded as well.
    order = {
        "type": "http", "name": "order", "method": "PUT", "url": f"{whole.site.url}/orders/{{secret.{names[0]}}}",
        "headers": {"authorization": f"Bearer {{secret.{names[0]}}}"},
        "retry": {"max_attempts": 4, "initial_interval_ms": 50, "jitter": 0},
    }  # fmt: skip
    write = {
        "type": "mcp_tool", "name": "write", "server_id": "filesystem", "tool_name": "write_file",
        "input": {"path": file, "content": f"<{{secret.{names[1]}}}>"},
    }  # fmt: skip
    workflow = await active(demo, {"steps": [order, write]})
    run = await execute(demo, workflow)
    assert run["status"] == "completed", run["error"]
    assert whole.site.count(values[0]) == 4, "three requests, and this question"
    tenant = (await demo.get("/auth/me")).json()["tenant_id"]
    assert (whole.data_dir / "tenants" / tenant / "files" / file).read_text() == f"<{values[1]}>"

    shown = json.dumps(
        [
            run,
            await history(demo, run["id"]),
            (await demo.get("/mcp/executions", params={"limit": 20})).json(),
            (await demo.get(f"{WORKFLOWS}/{workflow}")).json(),
            (await demo.get("/secrets")).json(),
        ]
    )
    assert f"{{secret.{names[1]}}}" in shown
    for value in values:
        assert value not in shown
        assert await traces(whole, value) == []

    for name in names:
        assert (await demo.delete(f"/secrets/{name}")).status_code == 204
    failed = await until(demo, workflow, "failed")
    assert failed["error"]["code"] == "secret_not_found"
    assert failed["error"]["details"]["name"] in names


async def test_anothers_secret_is_none(demo: httpx2.AsyncClient, whole: Whole) -> None:
    name, slug = f"S_{uuid4().hex}", f"t{uuid4().hex[:10]}"
    assert (await demo.post("/secrets", json={"name": name, "value": "demos-own"})).status_code == 201
    owner = {"email": f"{slug}@example.org", "password": f"{uuid4()}-{uuid4()}"}
    assert (await demo.post("/tenants", json={"name": slug, "slug": slug, "owner": owner})).status_code == 201
    steps = [
        {"type": "http", "name": "a", "url": f"{whole.site.url}/stock.json?k={{secret.{name}}}"},
        {"type": "mcp_tool", "name": "a", "server_id": "calculator", "tool_name": "add",
         "input": {"a": f"{{secret.{name}}}", "b": 1}},
    ]  # fmt: skip
    async with whole.client_for(slug) as stranger:
        for step in steps:
            run = await execute(stranger, await active(stranger, {"steps": [step]}))
            assert (run["status"], run["error"]["code"]) == ("failed", "secret_not_found")
