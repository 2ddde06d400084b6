"""Configs through HTTP, on a real database and real servers: what they are, and what they do to calls."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import msgspec
import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.gateway_process import ADD, SERVERS, Running, gateway, task

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = str(SERVERS / "counting_server.py")
COMMAND = f"{sys.executable} {SCRIPT}"
COUNTING = {"name": "Counting", "server_type": "stdio", "command": sys.executable, "args": [SCRIPT]}
SUM = {"server_id": "calculator", "tool_name": "add", "tool_input": {"a": 1, "b": 2}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(backbone: Backbone) -> AsyncIterator[Running]:
    async with gateway(backbone, commands=COMMAND) as process:
        yield process


@pytest.fixture
def tenant() -> UUID:
    return uuid4()


@pytest_asyncio.fixture(loop_scope="session")
async def client(running: Running, tenant: UUID) -> AsyncIterator[httpx2.AsyncClient]:
    async with running.client(tenant) as connection:
        yield connection


def code(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["code"]


async def made(client: httpx2.AsyncClient, **said: Any) -> dict[str, Any]:
    answer = await client.post("/configs", json={"server_id": "calculator", **said})
    assert answer.status_code == 201, answer.text
    config: dict[str, Any] = answer.json()
    return config


async def call(client: httpx2.AsyncClient, tool: str, agent: str | None = None, **given: Any) -> httpx2.Response:
    body = {"server_id": "counting", "tool_name": tool, "tool_input": given, "agent_id": agent}
    return await client.post("/execute", json=body)


async def events_of(backbone: Backbone, stream: str) -> list[tuple[str, dict[str, Any]]]:
    admin = await asyncpg.connect(backbone.admin_dsn)
    rows = await admin.fetch(
        "SELECT type, data FROM mcp_gateway.events WHERE stream_id = $1 ORDER BY version", UUID(stream)
    )
    await admin.close()
    return [(row["type"], msgspec.json.decode(row["data"])) for row in rows]


async def test_a_config_from_its_making_to_its_end(backbone: Backbone, client: httpx2.AsyncClient) -> None:
    agent = str(uuid4())
    said = {"agent_id": agent, "allowed_tools": ["add", "sub*"], "timeout_seconds": 5, "rate_limit_per_minute": 600}
    answer = await client.post("/configs", json={"server_id": "calculator", **said})
    config, etag = answer.json(), answer.headers["etag"]
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/mcp/configs/{config['id']}"
    server = (await client.get("/servers/calculator")).json()
    assert {name: config[name] for name in said} == said
    assert (config["server_id"], config["enabled"], config["profile"]) == (server["id"], True, None)
    again = await client.post("/configs", json={"server_id": server["id"], "agent_id": agent})
    assert code(again) == (409, "config_exists")
    shown = await client.get(f"/configs/{config['id']}")
    assert (shown.json(), shown.headers["etag"]) == (config, etag)
    path = f"/configs/{config['id']}"
    changed = await client.patch(path, json={"enabled": False, "timeout_seconds": None}, headers={"If-Match": etag})
    assert changed.status_code == 200
    assert changed.json() == {
        **config,
        "enabled": False,
        "timeout_seconds": None,
        "updated_at": changed.json()["updated_at"],
    }
    assert code(await client.patch(path, json={}, headers={"If-Match": etag})) == (412, "precondition_failed")
    assert code(await client.delete(path, headers={"If-Match": etag})) == (412, "precondition_failed")
    for fixed in ({"server_id": server["id"]}, {"agent_id": agent}, {"profile": "p"}, {"enbled": True}):
        assert code(await client.patch(path, json=fixed)) == (400, "invalid_input")
    gone = await client.delete(path, headers={"If-Match": changed.headers["etag"]})
    assert gone.status_code == 204
    for answer in (await client.get(path), await client.patch(path, json={}), await client.delete(path)):
        assert code(answer) == (404, "not_found")
    written = await events_of(backbone, config["id"])
    assert [type_ for type_, _ in written] == [
        "mcp.config-created.v1",
        "mcp.config-changed.v1",
        "mcp.config-removed.v1",
    ]
    assert int(gone.headers["x-event-position"]) > int(changed.headers["x-event-position"])


async def test_the_same_key_is_the_same_config(backbone: Backbone, client: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"server_id": "calculator", "profile": "support"}
    first = await client.post("/configs", json=body, headers=key)
    # As after a crash between the commit and the keeping of the answer, once the claim has lapsed.
    admin = await asyncpg.connect(backbone.admin_dsn)
    await admin.execute(
        "UPDATE mcp_gateway.idempotency_keys SET status = 0, created_at = now() - interval '2 min' WHERE key LIKE $1",
        "%/configs once",
    )
    await admin.close()
    again = await client.post("/configs", json=body, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert (await client.get("/configs")).json()["total"] == 1


async def test_many_at_once_make_one(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/configs", json={"server_id": "calculator"}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]


async def test_changes_that_come_at_once_are_made_one_after_another_or_refused(
    backbone: Backbone, client: httpx2.AsyncClient
) -> None:
    config = await made(client)
    path = f"/configs/{config['id']}"
    answers = await asyncio.gather(*(client.patch(path, json={"max_retries": number % 5}) for number in range(12)))
    done = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 412}
    written = await events_of(backbone, config["id"])
    assert len(written) == 1 + len(done) >= 2
    last = max(done, key=lambda answer: int(answer.headers["x-event-position"]))
    shown = await client.get(path)
    assert shown.headers["etag"] == last.headers["etag"] == f'"{len(written)}"'
    assert shown.json()["max_retries"] == written[-1][1]["definition"]["max_retries"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"server_id": "calculator", "denied_tools": ["\\ud800"]}',
        b'{"server_id": "calculator", "profile": "\\ud800"}',
        b'{"server_id": "calculator", "timeout_seconds": 1e999}',
        b'{"server_id": "calculator", "config_overrides": {"timeout_seconds": 1e999}}',
        b'{"server_id": "calculator", "config_overrides": ' + b"[" * 700 + b"]" * 700 + b"}",
        b'{"server_id": "calculator", "rate_limit_per_minute": 1' + b"0" * 5_000 + b"}",
        b'{"server_id": "calculator", "env_overrides": {"\\u0000": "x"}}',
    ],
)
async def test_no_body_is_a_fault_of_ours(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post("/configs", content=body, headers={"content-type": "application/json"})
    assert code(answer)[0] in {400, 422}, answer.text


async def test_lists_are_narrowed_and_walked(client: httpx2.AsyncClient) -> None:
    agent = str(uuid4())
    configs = [await made(client), await made(client, agent_id=agent), await made(client, profile="support")]
    configs += [await made(client, server_id=server, profile="support") for server in ("filesystem", "database")]
    seen, cursor = [], {}
    while True:
        page = (await client.get("/configs", params={"limit": 2, **cursor})).json()
        assert page["total"] == 5
        seen += page["configs"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [config["id"] for config in seen] == [config["id"] for config in configs]
    for narrow, count in (
        ({"agent_id": agent}, 1),
        ({"profile": "support"}, 3),
        ({"profile": "none"}, 0),
        ({"server_id": configs[0]["server_id"]}, 3),
        ({"server_id": configs[0]["server_id"], "profile": "support"}, 1),
    ):
        assert (await client.get("/configs", params=narrow)).json()["total"] == count
    for bad in ("server_id=x", "agent_id=1", "profile=a%00b", "limit=0", "cursor=%C3%A9"):
        assert code(await client.get(f"/configs?{bad}")) == (400, "invalid_input")


async def test_tenants_see_and_touch_their_own(running: Running, client: httpx2.AsyncClient) -> None:
    assert (await client.post("/servers", json=COUNTING)).status_code == 201
    ours = await made(client, denied_tools=["add"])
    server = (await client.get("/servers/counting")).json()["id"]
    async with running.client(uuid4()) as other:
        path = f"/configs/{ours['id']}"
        for answer in (
            await other.get(path),
            await other.patch(path, json={"enabled": False}),
            await other.delete(path),
            await other.post("/configs", json={"server_id": server}),
            await other.post("/configs", json={"server_id": ours["server_id"]}),
        ):
            assert code(answer) == (404, "not_found")
        assert (await other.get("/configs", params={"server_id": ours["server_id"]})).json()["total"] == 0
        assert (await other.post("/execute", json=SUM)).status_code == 200
    assert code(await client.post("/execute", json=SUM)) == (403, "tool_denied")
    async with running.client(uuid4(), "mcp:read mcp:execute") as reader:
        for answer in (
            await reader.post("/configs", json={"server_id": "calculator"}),
            await reader.patch(path, json={}),
            await reader.delete(path),
        ):
            assert code(answer) == (403, "forbidden")
        assert (await reader.get("/configs")).status_code == 200


async def test_the_database_itself_keeps_tenants_apart(backbone: Backbone, client: httpx2.AsyncClient) -> None:
    ours = await made(client)
    serving = await asyncpg.connect(backbone.serving_dsn("mcp_gateway"))
    try:
        await serving.execute("SELECT set_config('app.tenant_id', $1, false)", str(uuid4()))
        assert await serving.fetchval("SELECT count(*) FROM configs") == 0
        with pytest.raises((asyncpg.ForeignKeyViolationError, asyncpg.InsufficientPrivilegeError)):
            await serving.execute(
                "INSERT INTO configs SELECT current_setting('app.tenant_id')::uuid, $1, $2, NULL, NULL, 1, '{}', 1,"
                " now(), now()",
                uuid4(),
                UUID(ours["server_id"]),
            )
    finally:
        await serving.close()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"server_id": "none"}, (404, "not_found")),
        ({"server_id": str(uuid4())}, (404, "not_found")),
        ({"server_id": "a\0"}, (400, "invalid_input")),
        ({"agent_id": "agent"}, (400, "invalid_input")),
        ({"profile": "../x"}, (422, "unprocessable")),
        ({"profile": "x" * 64}, (422, "unprocessable")),
        ({"profile": "p", "agent_id": str(uuid4())}, (422, "unprocessable")),
        ({"allowed_tools": "add"}, (400, "invalid_input")),
        ({"allowed_tools": ["*" * 1_000]}, (422, "unprocessable")),
        ({"denied_tools": ["*"] * 1_000}, (422, "unprocessable")),
        ({"denied_tools": ["a\0"]}, (422, "unprocessable")),
        ({"timeout_seconds": 0}, (400, "invalid_input")),
        ({"timeout_seconds": 1e9}, (400, "invalid_input")),
        ({"max_retries": 1_000}, (422, "unprocessable")),
        ({"max_retries": 2**80}, (422, "unprocessable")),
        ({"rate_limit_per_minute": 0}, (422, "unprocessable")),
        ({"rate_limit_per_minute": 0.5}, (400, "invalid_input")),
        ({"env_overrides": {"A": "1"}}, (422, "unprocessable")),
        ({"server_id": "counting", "config_overrides": {"headers": {"A": "1"}}}, (422, "unprocessable")),
        ({"server_id": "counting", "config_overrides": {"colour": "red"}}, (400, "invalid_input")),
        ({"server_id": "counting", "config_overrides": {"timeout_seconds": -1}}, (422, "unprocessable")),
        ({"server_id": "counting", "env_overrides": {"PYTHONPATH": "/tmp"}}, (422, "command_not_allowed")),
        ({"server_id": "counting", "env_overrides": {"pythonstartup": "/tmp/x"}}, (422, "command_not_allowed")),
        ({"server_id": "counting", "env_overrides": {"LD_PRELOAD": "/tmp/x.so"}}, (422, "command_not_allowed")),
        ({"server_id": "counting", "env_overrides": {"PATH": "/tmp"}}, (422, "command_not_allowed")),
        ({"server_id": "counting", "env_overrides": {"A=B": "1"}}, (422, "command_not_allowed")),
        ({"server_id": "counting", "env_overrides": {"A": "x" * 20_000}}, (422, "unprocessable")),
        ({"colour": "red"}, (400, "invalid_input")),
    ],
)
async def test_what_cannot_be_a_config(
    client: httpx2.AsyncClient, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    await client.post("/servers", json=COUNTING)
    assert code(await client.post("/configs", json={"server_id": "calculator", **body})) == expected
    assert (await client.get("/configs")).json()["total"] == 0


async def test_there_are_not_endlessly_many(backbone: Backbone, client: httpx2.AsyncClient, tenant: UUID) -> None:
    first = await made(client)
    admin = await asyncpg.connect(backbone.admin_dsn)
    await admin.execute(
        "INSERT INTO mcp_gateway.configs SELECT $1::uuid, gen_random_uuid(), $2::uuid, gen_random_uuid(), NULL, 1,"
        " jsonb_build_object('server_id', $2::uuid), 1, now(), now() FROM generate_series(1, 499)",
        tenant,
        UUID(first["server_id"]),
    )
    await admin.close()
    full = await client.post("/configs", json={"server_id": "database"})
    assert code(full) == (409, "conflict")
    assert "500" in full.json()["detail"]


async def test_what_a_config_forbids_is_not_called(backbone: Backbone, running: Running, tenant: UUID) -> None:
    async with running.client(tenant) as client:
        assert (await client.post("/execute", json=SUM)).status_code == 200
        config = await made(client, denied_tools=["a*", "löschen"])
        denied = await client.post("/execute", json=SUM)
        assert code(denied) == (403, "tool_denied")
        details = denied.json()["details"]
        assert (details["config_id"], details["why"]) == (config["id"], "denied_tools")
        (begun, end) = await _settled(backbone, client, details["execution_id"])
        assert begun[1]["policy"]["decision"] == "denied"
        assert (end[0], end[1]["code"]) == ("mcp.tool-call-failed.v1", "tool_denied")
        (result,) = await running.ask(task(tenant, ADD))
        assert (result["error"]["code"], result["error"]["retryable"]) == ("tool_denied", False)
        assert (await client.post("/execute", json={**SUM, "tool_name": "multiply"})).status_code == 200
        await client.patch(f"/configs/{config['id']}", json={"denied_tools": []})
        assert (await client.post("/execute", json=SUM)).status_code == 200
        await client.patch(f"/configs/{config['id']}", json={"enabled": False})
        assert code(await client.post("/execute", json=SUM)) == (403, "tool_denied")
        await client.delete(f"/configs/{config['id']}")
        assert (await client.post("/execute", json=SUM)).status_code == 200


async def _settled(backbone: Backbone, client: httpx2.AsyncClient, execution: str) -> list[tuple[str, Any]]:
    assert (await client.get(f"/executions/{execution}")).status_code == 200
    return await events_of(backbone, execution)


async def test_an_agent_has_its_own_rules_beside_the_tenants(client: httpx2.AsyncClient) -> None:
    agent = str(uuid4())
    await made(client, agent_id=agent, allowed_tools=["add", "power"])
    await made(client, denied_tools=["power"])
    for agent_id, tool, allowed in (
        (agent, "add", True),
        (agent, "power", False),
        (agent, "multiply", False),
        (str(uuid4()), "multiply", True),
        (None, "power", False),
    ):
        answer = await client.post("/execute", json={**SUM, "tool_name": tool, "agent_id": agent_id})
        assert (answer.status_code == 200) is allowed, answer.text


async def test_names_that_the_server_does_not_list_are_told(client: httpx2.AsyncClient) -> None:
    config = await made(client, allowed_tools=["ad"])
    assert config["warnings"] == [], "nobody has looked at it yet"
    await client.get("/servers/calculator/discover")
    path = f"/configs/{config['id']}"
    changed = (await client.patch(path, json={"allowed_tools": ["ad", "add"], "denied_tools": ["m*", "x*"]})).json()
    assert len(changed["warnings"]) == 2
    assert "'ad'" in changed["warnings"][0]
    assert "'x*'" in changed["warnings"][1]
    assert (await client.get(path)).json()["warnings"] == []


async def test_a_rate_holds_whoever_comes_at_once(client: httpx2.AsyncClient) -> None:
    config = await made(client, rate_limit_per_minute=10)
    began = time.monotonic()
    answers = await asyncio.gather(*(client.post("/execute", json=SUM) for _ in range(60)))
    passed = [answer for answer in answers if answer.status_code == 200]
    assert 10 <= len(passed) <= 10 + (time.monotonic() - began) // 6 + 1
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert code(refused) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("10", "0")
    assert 54 <= int(refused.headers["ratelimit-reset"]) <= 60
    assert refused.json()["details"]["config_id"] == config["id"]
    await client.patch(f"/configs/{config['id']}", json={"rate_limit_per_minute": None})
    assert (await client.post("/execute", json=SUM)).status_code == 200


async def test_overrides_give_an_agent_a_process_of_its_own(client: httpx2.AsyncClient) -> None:
    await client.post("/servers", json={**COUNTING, "env_vars": {"TEAM": "all"}})
    agent = str(uuid4())
    config = await made(client, server_id="counting", agent_id=agent, env_overrides={"TEAM": "agents"})

    async def told(of: str | None) -> list[str]:
        return str((await call(client, "variable", of, name="TEAM")).json()["tool_output"]["result"]).split()

    (team, process), (others_team, others_process) = await told(agent), await told(None)
    assert (team, others_team) == ("agents", "all")
    assert process != others_process
    assert await told(agent) == [team, process]
    await client.patch(f"/configs/{config['id']}", json={"timeout_seconds": 9})
    assert await told(agent) == [team, process], "what is no override ends no session"
    await client.patch(f"/configs/{config['id']}", json={"env_overrides": {"TEAM": "new"}})
    assert (await told(agent))[0] == "new"
    health = (await client.get("/health")).json()["servers"]
    assert next(server for server in health if server["slug"] == "counting")["session_alive"] is True


async def test_a_server_takes_its_configs_with_it(backbone: Backbone, client: httpx2.AsyncClient) -> None:
    await client.post("/servers", json=COUNTING)
    gone = [await made(client, server_id="counting"), await made(client, server_id="counting", profile="p")]
    kept = await made(client)
    assert (await client.delete("/servers/counting")).status_code == 204
    assert [config["id"] for config in (await client.get("/configs")).json()["configs"]] == [kept["id"]]
    for config in gone:
        assert [type_ for type_, _ in await events_of(backbone, config["id"])] == [
            "mcp.config-created.v1",
            "mcp.config-removed.v1",
        ]


async def test_configs_that_are_made_while_their_server_goes(client: httpx2.AsyncClient) -> None:
    for _ in range(5):
        await client.post("/servers", json=COUNTING)
        bodies = [{"server_id": "counting", "profile": f"p{number}"} for number in range(6)]
        making = [client.post("/configs", json=body) for body in bodies]
        answers = await asyncio.gather(*making, client.delete("/servers/counting"))
        assert {answer.status_code for answer in answers[:-1]} <= {201, 404}
        assert answers[-1].status_code == 204, answers[-1].text
        assert (await client.get("/configs")).json()["total"] == 0


async def test_a_tool_that_may_be_repeated_is_called_again_and_no_other(
    client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    await client.post("/servers", json=COUNTING)
    await made(client, server_id="counting", max_retries=3)
    file = tmp_path / "reads"
    answer = (await call(client, "reads", path=str(file), deaths=2)).json()
    assert answer["tool_output"] == {"result": 3}
    kept = (await client.get(f"/executions/{answer['execution_id']}")).json()
    assert (kept["status"], kept["is_retry"]) == ("completed", False)
    assert kept["retry_count"] in {2, 3}, "after two deaths a start may have been refused, too"
    assert file.read_text() == "called\n" * 3
    assert (await client.get("/executions")).json()["total"] == 1
    acted = tmp_path / "acts"
    deadline = time.monotonic() + 10
    while code(answer := await call(client, "acts", path=str(acted), deaths=1))[1] == "server_unavailable":
        assert time.monotonic() < deadline, "the server is started again after its second death"
        assert not acted.exists()
    assert code(answer) == (502, "server_died")
    assert acted.read_text() == "called\n"


async def test_a_change_by_another_replica_takes_effect_when_it_is_told(
    backbone: Backbone, running: Running, client: httpx2.AsyncClient, tenant: UUID
) -> None:
    async with gateway(backbone, commands=COMMAND) as second, second.client(tenant) as elsewhere:
        for change in ({"denied_tools": ["add"]}, {"denied_tools": []}, {"enabled": False}):
            # What both know now would hold for five seconds if nothing were told.
            await elsewhere.post("/execute", json=SUM)
            configs = (await client.get("/configs")).json()["configs"]
            if configs:
                await client.patch(f"/configs/{configs[0]['id']}", json=change)
            else:
                await made(client, **change)
            expected = (await client.post("/execute", json=SUM)).status_code
            began = time.monotonic()
            while (await elsewhere.post("/execute", json=SUM)).status_code != expected:
                assert time.monotonic() - began < 4
                await asyncio.sleep(0.05)
