"""The catalogue over HTTP: searching, adding, removing and installing, and what an entry cannot bring about."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.gateway_process import ROOT, Running, gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALCULATOR = {
    "name": "org.example/Calculator",
    "title": "Sums",
    "description": "Adds what is given.",
    "version": "1.2.3",
    "packages": [
        {
            "registryType": "pypi",
            "identifier": "example-calculator",
            "version": "1.2.3",
            "transport": {"type": "stdio"},
            "packageArguments": [
                {"type": "positional", "value": "serve"},
                {"type": "positional", "valueHint": "folder", "isRepeated": True},
                {"type": "named", "name": "--mode", "choices": ["fast", "exact"], "default": "exact"},
            ],
            "environmentVariables": [
                {"name": "LEVEL", "format": "number", "default": "3"},
                {"name": "API_KEY", "isSecret": True},
            ],
        },
    ],
}
ELSEWHERE = {
    "name": "org.example/elsewhere",
    "description": "Somewhere else.",
    "version": "1.0.0",
    "remotes": [
        {
            "type": "streamable-http",
            "url": "https://{region}.example.org/mcp",
            "variables": {"region": {"choices": ["eu", "us"], "default": "eu"}},
            "headers": [{"name": "X-Team", "value": "team {team}", "variables": {"team": {"isRequired": True}}}],
        }
    ],
}

BUNDLED = 4  # servers that every tenant has


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runner") / "words"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(backbone: Backbone, words: Path) -> AsyncIterator[Running]:
    """A gateway on whose PATH `uvx` is a program that notes its words and serves the calculator."""
    runner = words.parent / "uvx"
    runner.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {words}\nPYTHONPATH={ROOT} exec {sys.executable} '
        "-m services.mcp_gateway.servers.calculator\n"
    )
    runner.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{runner.parent}{os.pathsep}{os.environ['PATH']}")
        async with gateway(backbone, commands="uvx example-calculator==1.2.3") as process:
            yield process


@pytest_asyncio.fixture(loop_scope="session")
async def client(running: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with running.client(uuid4()) as connection:
        yield connection


def code(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["code"]


def faults(answer: httpx2.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(fault["path"], fault["code"]) for fault in answer.json()["errors"]]


async def test_what_comes_with_the_platform_is_found_and_paged(client: httpx2.AsyncClient) -> None:
    whole = (await client.get("/registry")).json()
    slugs = [entry["slug"] for entry in whole["entries"]]
    assert slugs == sorted(slugs)
    assert whole["total"] == len(slugs) >= 10
    origins = {entry["slug"]: entry["origin"] for entry in whole["entries"]}
    assert origins["platform.agentic~calculator"] == "bundled"
    assert origins["io.github.modelcontextprotocol~server-time"] == "listed"
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get("/registry", params={"limit": 4, **cursor})).json()
        seen += [entry["slug"] for entry in page["entries"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == slugs
    skipped = (await client.get("/registry", params={"offset": 2, "limit": 1})).json()
    assert [entry["slug"] for entry in skipped["entries"]] == slugs[2:3]
    found = (await client.get("/registry", params={"q": "TIME zone", "type": "pypi"})).json()
    assert [entry["title"] for entry in found["entries"]] == ["Time"]
    remote = (await client.get("/registry", params={"type": "streamable-http"})).json()["entries"]
    assert remote
    assert all("streamable-http" in entry["kinds"] for entry in remote)
    assert (await client.get("/registry", params={"q": "%"})).json()["total"] == 0
    for wrong in ({"limit": 0}, {"limit": 201}, {"q": "a\0"}, {"q": "x" * 300}, {"cursor": "x" * 300}):
        assert code(await client.get("/registry", params=wrong)) == (400, "invalid_input")


async def test_an_entry_is_shown_as_it_was_given(client: httpx2.AsyncClient) -> None:
    added = await client.post("/registry", json=CALCULATOR)
    assert added.status_code == 201, added.text
    assert added.headers["location"].endswith("/registry/org.example~calculator")
    entry = (await client.get("/registry/org.example~calculator")).json()
    assert entry == added.json()
    assert entry["server"] == CALCULATOR
    assert (entry["origin"], entry["kinds"]) == ("own", ["pypi"])
    (way,) = entry["ways"]
    assert (way["kind"], way["index"], way["refused"]) == ("package", 0, None)
    assert [asked["name"] for asked in way["asks"]] == ["folder", "mode", "LEVEL", "API_KEY"]
    taken = await client.post("/registry/org.example~calculator/install", json={})
    assert code(taken) == (409, "slug_taken"), "the name gives the slug of the bundled server"


async def test_installing_starts_what_the_entry_says(client: httpx2.AsyncClient, words: Path) -> None:
    await client.post("/registry", json=CALCULATOR)
    body = {"values": {"folder": ["a b", "c;id"], "LEVEL": "-1.5"}, "slug": "sums"}
    made = await client.post("/registry/org.example~calculator/install", json=body)
    assert made.status_code == 201, made.text
    server = made.json()
    assert server["args"] == ["example-calculator==1.2.3", "serve", "a b", "c;id", "--mode=exact"]
    assert server["env_vars"] == {"LEVEL": "-1.5"}
    assert server["installed_from"] == "org.example/Calculator@1.2.3"
    call = {"server_id": "sums", "tool_name": "add", "tool_input": {"a": 1, "b": 2}}
    assert (await client.post("/execute", json=call)).json()["tool_output"] == {"result": 3}
    assert words.read_text().splitlines() == server["args"]
    assert code(await client.post("/registry/org.example~calculator/install", json=body)) == (409, "slug_taken")
    assert (await client.delete("/registry/org.example~calculator")).status_code == 204
    assert code(await client.get("/registry/org.example~calculator")) == (404, "not_found")
    assert (await client.get("/servers/sums")).status_code == 200, "what was installed stays"
    assert (await client.delete("/servers/sums")).status_code == 204


async def test_a_remote_is_registered_with_its_url_and_headers(client: httpx2.AsyncClient) -> None:
    await client.post("/registry", json=ELSEWHERE)
    install = "/registry/org.example~elsewhere/install"
    assert faults(await client.post(install, json={})) == [("values.team", "value_required")]
    made = await client.post(install, json={"values": {"team": "red", "region": "us"}, "name": "There"})
    assert made.status_code == 201, made.text
    server = made.json()
    assert (server["server_type"], server["url"]) == ("streamable_http", "https://us.example.org/mcp")
    assert (server["config"]["headers"], server["slug"]) == ({"X-Team": "team red"}, "elsewhere")
    newline = await client.post(install, json={"values": {"team": "red\r\nX-Other: 1"}, "slug": "other"})
    assert faults(newline) == [("config.headers", "invalid")]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"LEVEL": "three"}, [("values.LEVEL", "value_format")]),
        ({"mode": "slow"}, [("values.mode", "value_no_choice")]),
        ({"mode": ["fast", "fast"]}, [("values.mode", "value_not_one")]),
        ({"folder": ["--config=/etc/passwd"]}, [("values.folder", "value_option")]),
        ({"folder": "-x"}, [("values.folder", "value_option")]),
        ({"API_KEY": "sk-abcdefghijklmnop"}, [("values.API_KEY", "secret_in_the_clear")]),
        ({"levle": "3"}, [("values.levle", "value_unknown")]),
        ({"LEVEL": "x", "mode": "y"}, [("values.mode", "value_no_choice"), ("values.LEVEL", "value_format")]),
        ({"folder": "a\0b"}, [("args[2]", "invalid")]),
    ],
)
async def test_values_that_do_not_fit_are_refused_all_at_once(
    client: httpx2.AsyncClient, values: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    await client.post("/registry", json=CALCULATOR)
    answer = await client.post("/registry/org.example~calculator/install", json={"values": values, "slug": "sums"})
    assert faults(answer) == expected
    assert "sk-abcdefghijklmnop" not in answer.text
    assert (await client.get("/servers")).json()["total"] == BUNDLED


async def test_what_the_deployment_does_not_start_names_the_missing_entry(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/registry/io.github.modelcontextprotocol~server-time/install", json={})
    assert code(answer) == (422, "command_not_allowed")
    assert answer.json()["details"]["missing_entry"] == "uvx mcp-server-time==2026.10.19"
    assert "AGENTIC_MCP_GATEWAY_COMMANDS" in answer.json()["detail"]
    everything = await client.post("/registry/io.github.modelcontextprotocol~server-everything/install", json={})
    entry = everything.json()["details"]["missing_entry"]
    assert entry == "npx -y @modelcontextprotocol/server-everything@2026.8.31"
    for steering in ({"UV_INDEX_URL": "https://example.org"}, {"HOME": "/tmp"}, {"XDG_CONFIG_HOME": "/tmp"}):
        body = {"name": "x", "server_type": "stdio", "command": "uvx", "args": ["example-calculator==1.2.3"]}
        assert code(await client.post("/servers", json={**body, "env_vars": steering})) == (422, "command_not_allowed")


async def test_what_comes_with_the_platform_is_not_installed_twice_and_not_replaced(client: httpx2.AsyncClient) -> None:
    bundled = await client.post("/registry/platform.agentic~calculator/install", json={})
    assert code(bundled) == (422, "not_installable")
    for name in ("platform.agentic/calculator", "IO.github.modelcontextprotocol/Server-Time"):
        assert code(await client.post("/registry", json={**CALCULATOR, "name": name})) == (409, "entry_exists")
    assert code(await client.delete("/registry/platform.agentic~calculator")) == (404, "not_found")


def package(**changes: Any) -> dict[str, Any]:
    return {**CALCULATOR, "packages": [{**CALCULATOR["packages"][0], **changes}]}  # type: ignore[dict-item,index]


@pytest.mark.parametrize(
    "changes",
    [
        {"registryType": "oci", "identifier": "example/x"},
        {"registryType": "nuget"},
        {"registryType": "mcpb", "identifier": "https://example.org/x.mcpb", "fileSha256": "0" * 64},
        {"registryType": "cargo"},
        {"transport": {"type": "streamable-http", "url": "http://127.0.0.1:8080/mcp"}},
        {"registryBaseUrl": "https://packages.example.org"},
        {"runtimeHint": "python"},
        {"identifier": "-c"},
        {"identifier": "git+https://example.org/x"},
        {"identifier": "../x"},
        {"identifier": "a b"},
        {"version": None},
        {"version": "1,2"},
        {"registryType": "npm", "version": "1"},
        {"registryType": "npm", "identifier": "x@npm:other"},
        {"registryType": "npm", "identifier": "@a/../b"},
    ],
)
async def test_ways_that_are_none_here_say_so(client: httpx2.AsyncClient, changes: dict[str, Any]) -> None:
    sent = {name: value for name, value in changes.items() if value is not None}
    entry = package(**sent)
    if "version" in changes and changes["version"] is None:
        del entry["packages"][0]["version"]
    added = await client.post("/registry", json=entry)
    assert added.status_code == 201, added.text
    assert added.json()["ways"][0]["refused"]
    answer = await client.post("/registry/org.example~calculator/install", json={"slug": "sums"})
    assert code(answer) == (422, "not_installable")
    assert [fault["path"] for fault in answer.json()["errors"]] == ["packages[0]"]


async def test_a_choice_among_ways(client: httpx2.AsyncClient) -> None:
    entry = package(registryType="oci")
    entry["remotes"] = ELSEWHERE["remotes"]
    await client.post("/registry", json=entry)
    install = "/registry/org.example~calculator/install"
    made = await client.post(install, json={"values": {"team": "red"}, "slug": "first"})
    assert made.json()["url"] == "https://eu.example.org/mcp", "the first way that is one"
    for choice in ({"package": 0}, {"remote": 1}, {"package": 0, "remote": 0}):
        answer = await client.post(install, json={"values": {"team": "red"}, "slug": "x", **choice})
        assert code(answer) == (422, "not_installable")
    assert code(await client.post(install, json={"remote": -1})) == (400, "invalid_input")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "../../etc"}, (400, "invalid_input")),
        ({"name": "org.example/.."}, (400, "invalid_input")),
        ({"name": "org.example/a/b"}, (400, "invalid_input")),
        ({"name": "org.example/a\n"}, (400, "invalid_input")),
        ({"name": "nothing"}, (400, "invalid_input")),
        ({"title": ""}, (400, "invalid_input")),
        ({"title": "a\0b"}, (400, "invalid_input")),
        ({"description": "x" * 101}, (400, "invalid_input")),
        ({"colour": "red"}, (400, "invalid_input")),
        ({"packages": [CALCULATOR["packages"][0]] * 21}, (400, "invalid_input")),  # type: ignore[index]
        ({"packages": []}, (422, "unprocessable")),
        ({"version": "latest"}, (422, "unprocessable")),
        ({"version": "^1.2.3"}, (422, "unprocessable")),
        ({"version": "1.x"}, (422, "unprocessable")),
        ({"_meta": {"x": "y" * 100_000}}, (413, "too_large")),
        ({"websiteUrl": "javascript:alert(1)"}, (400, "invalid_input")),
        ({"icons": [{"src": "data:image/png;base64,"}]}, (400, "invalid_input")),
    ],
)
async def test_what_may_not_be_added(
    client: httpx2.AsyncClient, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert code(await client.post("/registry", json={**CALCULATOR, **changes})) == expected
    assert (await client.get("/registry", params={"q": "Adds what"})).json()["total"] == 0


async def test_an_entry_of_a_megabyte_or_nested_deeply_is_refused(client: httpx2.AsyncClient) -> None:
    many = [{"name": f"V{number}", "description": "x" * 2_000} for number in range(100)]
    entry = package(environmentVariables=many)
    entry["packages"] *= 5
    assert code(await client.post("/registry", json=entry)) == (413, "too_large")
    assert code(await client.post("/registry", json=package(environmentVariables=many * 10))) == (400, "invalid_input")
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    assert code(await client.post("/registry", json={**CALCULATOR, "_meta": {"a": deep}})) == (422, "unprocessable")
    text = b'{"_meta": ' + b'{"a":' * 50_000
    answer = await client.post("/registry", content=text, headers={"content-type": "application/json"})
    assert code(answer) == (400, "invalid_input")


@pytest.mark.parametrize(
    "variable",
    [
        {"name": "A", "value": "{secret.github}"},
        {"name": "A", "default": "x{secret.github}"},
        {"name": "A", "value": "{v}", "variables": {"v": {"default": "{secret.github}"}}},
    ],
)
async def test_an_entry_cannot_name_secrets(client: httpx2.AsyncClient, variable: dict[str, Any]) -> None:
    answer = await client.post("/registry", json=package(environmentVariables=[variable]))
    assert [fault for _, fault in faults(answer)] == ["secret_not_given"]


@pytest.mark.parametrize(
    "variable",
    [
        {"name": "A", "value": "{sec{v}", "variables": {"v": {"default": "ret.github}"}}},
        {"name": "A", "value": "{{v}}", "variables": {"v": {"default": "secret.github"}}},
        {"name": "A", "value": "{a}{b}", "variables": {"a": {"default": "{sec"}, "b": {"default": "ret.github}"}}},
        {"name": "A", "value": "{{v}}", "variables": {"v": {"isRequired": True}}},
    ],
)
async def test_an_entry_cannot_put_a_secret_together(client: httpx2.AsyncClient, variable: dict[str, Any]) -> None:
    added = await client.post("/registry", json=package(environmentVariables=[variable]))
    assert added.status_code == 201, added.text
    values = {"v": "secret.github"} if "isRequired" in str(variable) else {}
    answer = await client.post("/registry/org.example~calculator/install", json={"values": values, "slug": "sums"})
    assert [fault for _, fault in faults(answer)] == ["secret_not_given"]


async def test_what_is_given_is_not_read_as_a_template(client: httpx2.AsyncClient) -> None:
    two = {"name": "A", "value": "{a} {b} {c}", "variables": {"a": {}, "b": {"default": "B"}}}
    await client.post("/registry", json=package(environmentVariables=[two]))
    body = {"values": {"a": "{b}{{b}}${b}"}, "slug": "sums"}
    made = await client.post("/registry/org.example~calculator/install", json=body)
    assert made.json()["env_vars"] == {"A": "{b}{{b}}${b} B {c}"}


async def test_the_runners_own_arguments_cannot_change_what_runs(client: httpx2.AsyncClient) -> None:
    for name in ("--from", "--index-url", "--with", "-c", "--default-index"):
        argument = {"type": "named", "name": name, "value": "evil"}
        await client.delete("/registry/org.example~calculator")
        await client.post("/registry", json=package(runtimeArguments=[argument]))
        answer = await client.post("/registry/org.example~calculator/install", json={"slug": "sums"})
        assert [path for path, _ in faults(answer)] == ["packages[0].runtimeArguments[0]"]


async def test_a_variable_of_a_url_stays_in_its_place(client: httpx2.AsyncClient) -> None:
    remote = {"type": "streamable-http", "url": "https://{v}.example.org/{v}", "variables": {"v": {}}}
    await client.post("/registry", json={**ELSEWHERE, "remotes": [remote]})
    install = "/registry/org.example~elsewhere/install"
    for value in ("evil.org/", "evil.org#", "user@evil.org", "evil.org?", "a b", "evil.org:80/", "\\evil.org"):
        answer = await client.post(install, json={"values": {"v": value}})
        assert [path for path, _ in faults(answer)] == ["remotes[0].url"], value
    made = await client.post(install, json={"values": {"v": "a"}})
    assert made.json()["url"] == "https://a.example.org/a"


async def test_tenants_have_catalogues_of_their_own(running: Running, client: httpx2.AsyncClient) -> None:
    assert (await client.post("/registry", json=CALCULATOR)).status_code == 201
    async with running.client(uuid4()) as other:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/install")):
            answer = await other.request(method, f"/registry/org.example~calculator{path}", json={})
            assert code(answer) == (404, "not_found")
        assert (await other.get("/registry", params={"q": "Adds what"})).json()["total"] == 0
        assert (await other.post("/registry", json=CALCULATOR)).status_code == 201
        assert (await other.delete("/registry/org.example~calculator")).status_code == 204
    assert (await client.get("/registry/org.example~calculator")).status_code == 200
    async with running.client(uuid4(), "mcp:read") as reader:
        for path in ("/registry", "/registry/platform.agentic~calculator/install"):
            assert code(await reader.post(path, json=CALCULATOR)) == (403, "forbidden")
        assert (await reader.get("/registry")).status_code == 200


async def test_adding_at_once_adds_one_and_the_same_key_is_the_same_entry(
    backbone: Backbone, client: httpx2.AsyncClient
) -> None:
    answers = await asyncio.gather(*(client.post("/registry", json=CALCULATOR) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert (await client.delete("/registry/org.example~calculator")).status_code == 204
    key = {"Idempotency-Key": str(uuid4())}
    first = await client.post("/registry", json=CALCULATOR, headers=key)
    # As after a crash between the commit and the keeping of the answer, once the claim has lapsed.
    admin = await asyncpg.connect(backbone.admin_dsn)
    await admin.execute(
        "UPDATE mcp_gateway.idempotency_keys SET status = 0, created_at = now() - interval '2 min' WHERE key LIKE $1",
        f"% {key['Idempotency-Key']}",
    )
    again = await client.post("/registry", json=CALCULATOR, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["x-event-position"] == first.headers["x-event-position"]
    assert (await client.delete("/registry/org.example~calculator")).status_code == 204
    stream = await admin.fetchval(
        "SELECT stream_id FROM mcp_gateway.events WHERE position = $1", int(first.headers["x-event-position"])
    )
    assert isinstance(stream, UUID)
    types = await admin.fetch("SELECT type FROM mcp_gateway.events WHERE stream_id = $1 ORDER BY version", stream)
    assert [row["type"] for row in types] == ["mcp.entry-added.v1", "mcp.entry-removed.v1"]
    await admin.close()


async def test_the_same_key_installs_once(client: httpx2.AsyncClient) -> None:
    await client.post("/registry", json=CALCULATOR)
    key = {"Idempotency-Key": str(uuid4())}
    body = {"slug": "sums"}
    made = [await client.post("/registry/org.example~calculator/install", json=body, headers=key) for _ in range(2)]
    assert {answer.status_code for answer in made} == {201}
    assert made[0].json() == made[1].json()
    assert (await client.get("/servers")).json()["total"] == BUNDLED + 1


async def test_only_the_check_of_a_definition_says_whether_secrets_can_be_named(client: httpx2.AsyncClient) -> None:
    await client.post("/registry", json=CALCULATOR)
    body = {"values": {"API_KEY": "{secret.mine}"}, "slug": "sums"}
    made = await client.post("/registry/org.example~calculator/install", json=body)
    by_hand = {
        "name": "by hand",
        "server_type": "stdio",
        "command": "uvx",
        "args": ["example-calculator==1.2.3"],
        "env_vars": {"API_KEY": "{secret.mine}"},
    }
    registered = await client.post("/servers", json=by_hand)
    assert made.status_code == registered.status_code
    assert made.status_code == 201 or faults(made) == faults(registered)


async def test_others_hear_of_entries(running: Running) -> None:
    tenant = uuid4()
    subscription = await running.bus.subscribe(f"events.{tenant}.mcp_gateway.entry.*")
    await running.bus.flush()
    async with running.client(tenant) as client:
        await client.post("/registry", json=CALCULATOR)
        await client.delete("/registry/org.example~calculator")
    added, removed = [await subscription.next_msg(timeout=20) for _ in range(2)]
    assert json.loads(added.data) == {"server": CALCULATOR}
    assert json.loads(removed.data) == {"name": CALCULATOR["name"]}
    await subscription.unsubscribe()


async def test_a_tenants_catalogue_is_bounded(backbone: Backbone, running: Running) -> None:
    tenant = uuid4()
    admin = await asyncpg.connect(backbone.admin_dsn)
    await admin.execute(
        "INSERT INTO mcp_gateway.catalogue_entries SELECT $1, gen_random_uuid(), 'x~' || n, 'x/' || n, 't', 'd', '1', "
        "'{npm}', '{}', now() FROM generate_series(1, 500) n",
        tenant,
    )
    await admin.close()
    async with running.client(tenant) as client:
        assert code(await client.post("/registry", json=CALCULATOR)) == (409, "conflict")
        assert (await client.get("/registry", params={"q": "x/"})).json()["total"] == 500


async def test_the_api_describes_itself(running: Running, client: httpx2.AsyncClient) -> None:
    described = (await client.get(f"{running.url}/docs/mcp_gateway/openapi.json")).json()
    assert {"/api/v1/mcp/registry", "/api/v1/mcp/import", "/api/v1/mcp/export"} <= set(described["paths"])
    fields = described["components"]["schemas"]["ServerJson"]["properties"]
    assert {"$schema", "websiteUrl", "_meta", "packages"} <= set(fields)
