"""The database server on a real Postgres, with a login that may read little: as a process, and tool by tool."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from msgspec import Raw

from services.mcp_gateway import limits
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.database import postgres_allowed as allowed
from services.mcp_gateway.servers.database.address import open_database
from services.mcp_gateway.servers.database.tools import database_server
from services.mcp_gateway.servers.tools import ToolOutput, ToolRefused
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "reading"
PASSWORD = "correct-horse"

SCRIPT = ROOT / "tests/fixtures/database_reading.sql"


def with_login(dsn: str, login: str) -> str:
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login}@{place}", path=f"/{DATABASE}"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def admin(backbone: Backbone) -> AsyncIterator["asyncpg.Connection[Any]"]:
    first = await asyncpg.connect(backbone.admin_dsn)
    await first.execute(f"CREATE DATABASE {DATABASE}")
    await first.close()
    connection = await asyncpg.connect(urlunsplit(urlsplit(backbone.admin_dsn)._replace(path=f"/{DATABASE}")))
    await connection.execute(SCRIPT.read_text())
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(backbone: Backbone, admin: "asyncpg.Connection[Any]") -> str:
    return with_login(backbone.admin_dsn, f"database_reader:{PASSWORD}")


@contextmanager
def opened(url: str) -> Iterator[ToolServer]:
    database = open_database(url)
    yield database_server(database)
    database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(url: str) -> AsyncIterator[ToolServer]:
    with opened(url) as one:
        yield one


async def run(server: ToolServer, tool: str, **arguments: Any) -> Any:
    declared = server.tools[tool]
    output = await declared.call(declared.arguments(Raw(json.dumps(arguments).encode())))
    assert isinstance(output, ToolOutput)
    return output.structured


async def rows(server: ToolServer, sql: str, *parameters: Any) -> Any:
    return (await run(server, "query", sql=sql, parameters=[*parameters]))["rows"]


async def refusal(server: ToolServer, tool: str = "query", **arguments: Any) -> str:
    with pytest.raises(ToolRefused) as refused:
        await run(server, tool, **arguments)
    assert PASSWORD not in refused.value.message
    assert "TOUCHED" not in refused.value.message
    return refused.value.code


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_uses_it(url: str, mode: Literal["legacy", "auto"]) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "services.mcp_gateway.servers.database"],
        cwd=ROOT,
        env={"DATABASE_URL": url},
    )
    async with Client(stdio_client(parameters), mode=mode) as sdk:
        tools = (await sdk.list_tools()).tools
        assert [tool.name for tool in tools] == ["query", "list_tables", "describe_table", "get_schema"]
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        assert all(tool.annotations is not None and tool.annotations.idempotent_hint for tool in tools)
        # The SDK holds each result against the declared output schema by itself.
        answer = await sdk.call_tool("query", {"sql": "SELECT id, name FROM people WHERE id = $1", "parameters": [7]})
        assert answer.structured_content == {
            "columns": [{"name": "id", "type": "int4"}, {"name": "name", "type": "text"}],
            "rows": [[7, "p7"]],
            "row_count": 1,
            "truncated": False,
        }
        for tool, arguments in (
            ("list_tables", {}),
            ("describe_table", {"table": "people"}),
            ("get_schema", {"schema": "public"}),
        ):
            assert not (await sdk.call_tool(tool, arguments)).is_error
        refused = await sdk.call_tool("query", {"sql": "DELETE FROM people"})
        assert refused.is_error
        assert refused.structured_content is not None
        assert refused.structured_content["error"]["code"] == "statement_refused"


async def test_values(server: ToolServer) -> None:
    sql = """
    SELECT 1.10::numeric, 'NaN'::float8, '-Infinity'::float4, 9007199254740993, date '2024-02-29', time '12:30',
        timestamptz '2024-02-29 12:00:00.5+00' AT TIME ZONE 'UTC', interval '1 day 2 hours',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '\\x00ff'::bytea, '{"a": [1, null]}'::jsonb,
        ARRAY[[1, 2], [3, NULL]], ARRAY[1.5, NULL]::numeric[], ARRAY[date '2024-01-01'], ROW(1, 'a', 2.5)::text,
        '10.0.0.1/8'::inet, int4range(1, 5)::text, true, NULL, 'é', 'happy'::mood,
        1::"char", 5::money::numeric, point(1, 2), 'people'::regclass::text
    """
    assert (await rows(server, sql))[0] == [
        "1.10", "NaN", "-Infinity", "9007199254740993", "2024-02-29", "12:30:00", "2024-02-29 12:00:00.5", "P1DT2H",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "\\x00ff", {"a": [1, None]}, [[1, 2], [3, None]],
        ["1.5", None], ["2024-01-01"], "(1,a,2.5)", "10.0.0.1/8", "[1,5)", True,
        None, "é", "happy", "\\x01", "5.00", "(1,2)", "people",
    ]  # fmt: skip


async def test_parameters(server: ToolServer) -> None:
    sql = "SELECT $1::int, $2::numeric, $3::date, $4::jsonb ->> 'a', $5::text[], $6::mood, $7::bytea, $8::float8"
    values = [1, "1.50", "2024-02-29", {"a": "b"}, ["x", None], "sad", "\\x00", 0.5]
    assert await rows(server, sql, *values) == [[1, "1.50", "2024-02-29", "b", ["x", None], "sad", "\\x00", 0.5]]
    assert await rows(server, "SELECT name FROM people WHERE id = ANY ($1) ORDER BY id", [2, 3]) == [["p2"], ["p3"]]
    assert await refusal(server, sql="SELECT $1::int") == "parameters_invalid"
    assert await refusal(server, sql="SELECT 1", parameters=[1]) == "parameters_invalid"
    assert await refusal(server, sql="SELECT $1::int", parameters=["x"]) == "parameters_invalid"
    assert await refusal(server, sql="SELECT $1::int2", parameters=[70_000]) == "parameters_invalid"
    assert await refusal(server, sql="SELECT $1::date", parameters=["no date"]) == "query_failed"
    assert await refusal(server, sql="SELECT $1", parameters=["a\0b"]) in {"parameters_invalid", "query_failed"}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT count(*) FROM people", [[50]]),
        ("SELECT * FROM granted ORDER BY id", [[1, "p1"], [2, "p2"]]),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT sum(n) FROM t", [[6]]),
        ("SELECT p.name, o.tags FROM people p JOIN orders o ON o.person = p.id;", [["p1", ["a", None, "b,c"]]]),
        ("SELECT data FROM orders", [[{"a": [1, "9007199254740993"]}]]),
        ("SELECT min(mood), pg_catalog.min(mood) FROM people", [["happy", "happy"]]),
        ("SELECT (p.address).street, (p.address).number FROM people p WHERE id = 1", [[None, None]]),
        ('SELECT "c;d" FROM "a""b; DROP TABLE people; --"', []),
        ("SELECT count(*) FROM information_schema.tables WHERE table_name = 'people'", [[1]]),
        ("SELECT table_name FROM information_schema.tables WHERE table_schema = 'hidden'", []),
        ("SHOW transaction_read_only", [["on"]]),
        ("SELECT to_tsvector('english', 'running') @@ to_tsquery('english', 'run')", [[True]]),
        ("SELECT 'abc' SIMILAR TO 'a%', 'abc' LIKE 'a!%' ESCAPE '!', 'x' || 1", [[True, False, "x1"]]),
        ("SELECT name FROM people ORDER BY score DESC NULLS LAST LIMIT 1", [["p50"]]),
    ],
)  # fmt: skip
async def test_reading(server: ToolServer, sql: str, expected: Any) -> None:
    assert await rows(server, sql) == expected


async def test_plans_are_shown_and_nothing_runs(server: ToolServer) -> None:
    assert "Seq Scan on people" in str(await rows(server, "EXPLAIN SELECT name FROM people"))
    assert (await rows(server, "EXPLAIN (FORMAT json) SELECT 1"))[0][0][0]["Plan"]["Node Type"] == "Result"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT touch(1)", "function_refused"),
        ("EXPLAIN SELECT touch(1)", "function_refused"),
        # What hides behind a name that is allowed.
        ("SELECT lower(mood) FROM people", "function_refused"),
        ("SELECT lower('x')", "function_refused"),
        ("SELECT max(mood) FROM people", "function_refused"),
        ("SELECT upper('x')", "function_refused"),
        ("SELECT 'a' %% 'b'", "function_refused"),
        ("SELECT 'a' %% ANY (ARRAY['b'])", "function_refused"),
        # A function written as if it were a column.
        ("SELECT p.person_fact FROM people p", "function_refused"),
        ("SELECT people.person_fact FROM people", "function_refused"),
        ("SELECT public.people.person_fact FROM people", "function_refused"),
        ("SELECT (p).person_fact FROM people p", "function_refused"),
        ("SELECT p.touch FROM people p", "function_refused"),
        ("SELECT x.touch FROM (SELECT 1) x", "function_refused"),
        ("SELECT (1).touch", "function_refused"),
        ("SELECT ('x'::text).touch_text", "function_refused"),
        ("SELECT ('/etc/passwd'::text).pg_read_file", "function_refused"),
        ("SELECT (ARRAY['/etc/passwd'])[1].pg_read_file", "function_refused"),
        ("SELECT (SELECT '1'::text).pg_sleep", "function_refused"),
        ("SELECT 1 FROM people p ORDER BY p.person_fact", "function_refused"),
        # Types whose input calls something.
        ("SELECT 'x'::watched", "type_refused"),
        ("SELECT CAST(NULL AS public.watched)", "type_refused"),
        ("SELECT ARRAY['x']::watched[]", "type_refused"),
        ("SELECT $1::watched", "type_refused"),
        ("SELECT * FROM json_to_record('{\"a\": 1}') AS r(a watched)", "type_refused"),
        ("SELECT NULL::people", "type_refused"),
        ("SELECT '<a/>'::xml", "type_refused"),
        ("SELECT '0/0'::pg_lsn", "type_refused"),
        ("SELECT xmin::text::xid FROM people", "type_refused"),
        # What would be read wrongly.
        ("SELECT ROW(1, 2.5)", "type_refused"),
        ("SELECT ARRAY[ROW(1, 2.5)]", "type_refused"),
        ("SELECT numrange(1, 5)", "type_refused"),
        ("SELECT ARRAY[numrange(1, 5)]", "type_refused"),
        ("SELECT address FROM people", "type_refused"),
        ("SELECT o FROM orders o", "type_refused"),
        # What the login may not read.
        ("SELECT salary FROM people", "permission_denied"),
        ("SELECT p::text FROM people p", "permission_denied"),
        ("SELECT * FROM hidden.secrets", "permission_denied"),
        ("SELECT * FROM not_granted", "permission_denied"),
        ("SELECT * FROM pg_authid", "relation_refused"),
        ("SELECT * FROM pg_stat_activity", "relation_refused"),
        # What is no statement to the server.
        ("SELECT * FROM nowhere", "query_failed"),
        ("SELECT nothing FROM people", "query_failed"),
        ("SELECT 1 / 0", "query_failed"),
        ("SELECT 'x'::int", "query_failed"),
        ("SELECT 'x'::no_such_type", "query_failed"),
        ("SELECT 1 FROM people WHERE name", "query_failed"),
        ("CALL leave()", "statement_refused"),
        ("COMMIT", "statement_refused"),
    ],
)
async def test_refusals(server: ToolServer, admin: "asyncpg.Connection[Any]", sql: str, code: str) -> None:
    parameters = ["x"] if "$1" in sql else []
    assert await refusal(server, sql=sql, parameters=parameters) == code
    assert await admin.fetchval("SELECT count(*) FROM people") == 50


async def test_casts_that_somebody_defined(server: ToolServer, admin: "asyncpg.Connection[Any]") -> None:
    sql = "SELECT mood::text FROM people WHERE id = 1"
    assert await rows(server, sql) == [["happy"]]
    await admin.execute("CREATE CAST (mood AS text) WITH FUNCTION touch_mood(mood) AS ASSIGNMENT")
    try:
        assert await refusal(server, sql=sql) == "type_refused"
        assert await refusal(server, sql="SELECT 'happy'::mood::text") == "type_refused"
        assert await refusal(server, sql="SELECT to_json(mood) FROM (SELECT mood FROM people) x") == "type_refused"
        assert await rows(server, "SELECT id FROM orders") == [[1]]
    finally:
        await admin.execute("DROP CAST (mood AS text)")


async def test_a_search_path_that_hides_the_catalogue(url: str, admin: "asyncpg.Connection[Any]") -> None:
    await admin.execute(
        "CREATE FUNCTION public.abs(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'TOUCHED'; END $$"
    )
    await admin.execute("ALTER ROLE database_reader SET search_path = public, pg_catalog")
    await admin.execute("ALTER ROLE database_reader SET standard_conforming_strings = off")
    try:
        with opened(url) as server:
            assert await rows(server, "SELECT abs(-1)") == [[1]]
            assert await rows(server, "SELECT 'a\\' || 'b'") == [["a\\b"]]
            assert (await rows(server, "SHOW search_path"))[0][0].startswith("pg_catalog, public")
        await admin.execute("ALTER ROLE database_reader SET search_path = ''")
        with opened(url) as server:
            assert await rows(server, "SELECT id FROM public.orders") == [[1]]
    finally:
        await admin.execute("DROP FUNCTION public.abs(int)")
        await admin.execute("ALTER ROLE database_reader RESET ALL")


async def test_rows_and_bytes_are_cut(server: ToolServer) -> None:
    cut = await run(server, "query", sql="SELECT * FROM generate_series(1, 10000000)", max_rows=300)
    assert (cut["row_count"], cut["truncated"], cut["rows"][-1]) == (300, True, [300])
    exact = await run(server, "query", sql="SELECT id FROM people", max_rows=50)
    assert (exact["row_count"], exact["truncated"]) == (50, False)
    wide = await run(server, "query", sql="SELECT repeat('x', 10000) FROM generate_series(1, 1000)", max_rows=1_000)
    assert wide["truncated"]
    assert 10 < wide["row_count"] < limits.DATABASE_RESULT_MAX_BYTES / 10_000
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t"
    assert (await run(server, "query", sql=endless))["row_count"] == limits.DATABASE_ROWS_DEFAULT


@pytest.mark.parametrize(
    "aggregated",
    ["string_agg(repeat('x', 10000), '')", "array_agg(repeat('x', 10000))", "json_agg(repeat('x', 10000))"],
)
async def test_a_value_of_many_megabytes_is_not_taken_in(server: ToolServer, aggregated: str) -> None:
    sql = f"SELECT {aggregated} FROM generate_series(1, 5000)"
    assert await refusal(server, sql=sql) == "result_too_large"
    assert await rows(server, "SELECT 1") == [[1]]


async def test_what_came_before_a_value_that_is_too_long_is_an_answer(server: ToolServer) -> None:
    sql = (
        "SELECT CASE WHEN n < 3 THEN 'short' ELSE (SELECT string_agg(repeat('x', 10000), '') FROM "
        "generate_series(1, 2000 + 0 * n)) END FROM generate_series(1, 10) n"
    )
    cut = await run(server, "query", sql=sql)
    assert cut["truncated"]
    assert cut["rows"][0] == ["short"]
    assert cut["row_count"] <= 2


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT sum(n) FROM t",
        "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
    ],
)
async def test_what_does_not_end_is_ended(
    url: str, sql: str, monkeypatch: pytest.MonkeyPatch, admin: "asyncpg.Connection[Any]"
) -> None:
    monkeypatch.setattr("services.mcp_gateway.servers.database.postgres.DATABASE_CALL_SECONDS", 0.3)
    with opened(url) as server:
        assert await refusal(server, sql=sql) == "statement_timeout"
        assert await rows(server, "SELECT 1") == [[1]]


async def test_the_server_has_a_timeout_of_its_own(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "services.mcp_gateway.servers.database.postgres_connections._SETTINGS", {"statement_timeout": "200"}
    )
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT sum(n) FROM t"
    with opened(url) as server:
        assert await refusal(server, sql=endless) == "statement_timeout"


async def test_a_call_that_is_cancelled_leaves_nothing_behind(server: ToolServer) -> None:
    tool = server.tools["query"]
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT sum(n) FROM t"
    calls = [asyncio.ensure_future(tool.call({"sql": endless, "parameters": None, "max_rows": 1})) for _ in range(3)]
    await rows(server, "SELECT 1")  # they have begun
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert await rows(server, "SELECT 1") == [[1]]


async def test_sessions_are_left_as_new(server: ToolServer, admin: "asyncpg.Connection[Any]") -> None:
    for _ in range(3):
        await rows(server, "SELECT name FROM people LIMIT 1")
        await refusal(server, sql="SELECT 1 / 0")
    sessions = await admin.fetch(
        "SELECT state, query FROM pg_stat_activity WHERE usename = 'database_reader' AND state <> 'active'"
    )
    assert sessions
    assert {(row["state"], row["query"]) for row in sessions} == {("idle", "DISCARD ALL")}


async def test_many_calls_at_once(server: ToolServer) -> None:
    answers = await asyncio.gather(*(rows(server, "SELECT $1::int", place) for place in range(40)))
    assert answers == [[[place]] for place in range(40)]


async def test_tables(server: ToolServer) -> None:
    listed = await run(server, "list_tables")
    assert [(table["schema"], table["name"], table["kind"]) for table in listed["tables"]] == [
        ("public", 'a"b; DROP TABLE people; --', "table"),
        ("public", "granted", "view"),
        ("public", "orders", "table"),
        ("public", "people", "table"),
        ("public", "touched", "table"),
    ]
    for schema in ("hidden", "pg_catalog", "information_schema", "nowhere", "public' OR true --"):
        assert (await run(server, "list_tables", schema=schema))["tables"] == []


async def test_a_table_is_described(server: ToolServer) -> None:
    people = await run(server, "describe_table", table="people")
    assert people["comment"] == "Who there is"
    assert people["primary_key"] == ["id"]
    assert people["columns"][:4] == [
        {"name": "id", "type": "integer", "nullable": False},
        {"name": "name", "type": "text", "nullable": False, "default": "'nobody'::text"},
        {"name": "mood", "type": "mood", "nullable": True},
        {"name": "born", "type": "date", "nullable": True, "comment": "in UTC"},
    ]
    assert "salary" not in {column["name"] for column in people["columns"]}
    orders = await run(server, "describe_table", table="orders", schema="public")
    assert orders["foreign_keys"] == [
        {"columns": ["person"], "references": "public.people", "referenced_columns": ["id"]}
    ]
    assert (await run(server, "describe_table", table='a"b; DROP TABLE people; --'))["columns"][0]["name"] == "c;d"
    assert [table["name"] for table in (await run(server, "get_schema"))["tables"]][1:] == [
        "granted",
        "orders",
        "people",
        "touched",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {"table": "secrets"},
        {"table": "secrets", "schema": "hidden"},
        {"table": "not_granted"},
        {"table": "pg_authid"},
        {"table": "pg_authid", "schema": "pg_catalog"},
        {"table": "pg_catalog.pg_authid"},
        {"table": "public.people"},
        {"table": "PEOPLE"},
        {"table": "people' OR '1'='1"},
        {"table": "people; DROP TABLE people"},
        {"table": ""},
    ],
)
async def test_names_of_no_table(server: ToolServer, arguments: dict[str, str]) -> None:
    assert await refusal(server, "describe_table", **arguments) == "table_not_found"


async def test_a_database_that_cannot_be_reached(url: str) -> None:
    wrong = url.replace(PASSWORD, "hunter2")
    elsewhere = "postgresql://me:hunter2@127.0.0.1:1/db"
    for address in (wrong, elsewhere, "postgresql://me:hunter2@127.0.0.1:x/db", url.replace(DATABASE, "nowhere")):
        with opened(address) as server, pytest.raises(ToolRefused) as refused:
            await run(server, "query", sql="SELECT 1")
        assert refused.value.code == "database_unavailable"
        assert "hunter2" not in refused.value.message


async def test_the_list_of_functions_names_what_there_is(admin: "asyncpg.Connection[Any]") -> None:
    """What later versions of PostgreSQL bring may be missing; what acts must not be in it."""
    found = await admin.fetch(
        "SELECT proname::text AS name, provolatile::text AS volatility, prosecdef FROM pg_proc "
        "WHERE proname = ANY ($1) AND pronamespace = 'pg_catalog'::regnamespace",
        sorted(allowed.FUNCTIONS),
    )
    missing = allowed.FUNCTIONS - {row["name"] for row in found}
    assert missing <= set()
    assert {row["name"] for row in found if row["volatility"] == "v"} == {
        "clock_timestamp",
        "gen_random_uuid",
        "random",
        "random_normal",
        "timeofday",
        "uuidv4",
        "uuidv7",
        "array_sample",
        "array_shuffle",
    }
    assert not any(row["prosecdef"] for row in found)
