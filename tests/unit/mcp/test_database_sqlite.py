"""The database server on an SQLite file, through the path that a call takes: JSON in, JSON out."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from services.mcp_gateway import limits
from services.mcp_gateway.servers.database.address import AddressInvalid, open_database
from services.mcp_gateway.servers.database.ports import Database
from services.mcp_gateway.servers.database.tools import database_server
from services.mcp_gateway.servers.tools import ToolOutput, ToolRefused

SCRIPT = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, joined TEXT DEFAULT CURRENT_DATE);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id), total REAL, note BLOB);
CREATE TABLE "odd""name; DROP TABLE orders; --" (a);
CREATE VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
CREATE VIEW loader AS SELECT load_extension('evil');
INSERT INTO customers (id, name) SELECT value, 'c' || value FROM json_each('[1,2,3,4,5]');
INSERT INTO orders VALUES (1, 1, 2.5, x'00ff'), (2, 1, 1e999, NULL), (3, 2, 3, 'text');
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "shop #1?.sqlite3"
    connection = sqlite3.connect(file)
    connection.executescript(SCRIPT)
    connection.close()
    return file


@cache
def opened(path: Path) -> Database:
    """One for all tests: the processes that read are slower to start than the tests."""
    database = open_database(address(path))
    OPENED.append(database)
    return database


OPENED: list[Database] = []


@pytest.fixture(scope="module", autouse=True)
def closing() -> Iterator[None]:
    yield
    for database in OPENED:
        database.close()


def address(path: Path) -> str:
    return "sqlite://" + str(path).replace("#", "%23").replace("?", "%3F")


async def run(path: Path, tool: str, **arguments: Any) -> Any:
    declared = database_server(opened(path)).tools[tool]
    output = await declared.call(declared.arguments(Raw(json.dumps(arguments).encode())))
    assert isinstance(output, ToolOutput)
    assert json.loads(output.text) == output.structured
    return output.structured


async def refusal(path: Path, tool: str = "query", **arguments: Any) -> str:
    with pytest.raises(ToolRefused) as refused:
        await run(path, tool, **arguments)
    assert str(path.parent) not in refused.value.message
    return refused.value.code


async def rows(path: Path, sql: str, *parameters: Any) -> Any:
    return (await run(path, "query", sql=sql, parameters=[*parameters]))["rows"]


async def test_columns_rows_and_types(path: Path) -> None:
    assert await run(path, "query", sql="SELECT id, total, note, NULL AS n FROM orders ORDER BY id;") == {
        "columns": [
            {"name": "id", "type": "integer"},
            {"name": "total", "type": "real"},
            {"name": "note", "type": "blob"},
            {"name": "n", "type": "null"},
        ],
        "rows": [[1, 2.5, "\\x00ff", None], [2, "Infinity", None, None], [3, 3.0, "text", None]],
        "row_count": 3,
        "truncated": False,
    }


@pytest.mark.parametrize(
    ("sql", "parameters", "expected"),
    [
        ("SELECT ';', '--', \"name\" FROM customers WHERE id = ?", [3], [[";", "--", "c3"]]),
        ("SELECT ?, ?, ?", ["é", 1.5, None], [["é", 1.5, None]]),
        ("SELECT 9007199254740991, -9223372036854775808", [], [[2**53 - 1, str(-(2**63))]]),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 2) SELECT n FROM t", [], [[1], [2]]),
        ("SELECT total FROM totals WHERE customer = 2", [], [[3.0]]),
        ("VALUES (1), (2)", [], [[1], [2]]),
        ("SELECT count(*) FROM (SELECT 1 UNION SELECT 2)", [], [[2]]),
        ("SELECT count(*) FROM sqlite_master WHERE type = 'table'", [], [[3]]),
        ("SELECT value FROM json_each('[1]') /* ; */ -- ;", [], [[1]]),
        ("SELECT row_number() OVER (ORDER BY id DESC) FROM customers LIMIT 1", [], [[1]]),
        ("SELECT json_extract('{\"a\": [1]}', '$.a[0]'), strftime('%Y', '2024-02-29'), typeof(round(2.5))", [],
         [[1, "2024", "real"]]),
        ("SELECT CAST(x'ff41' AS TEXT)", [], [["\ufffdA"]]),
    ],
)  # fmt: skip
async def test_reading(path: Path, sql: str, parameters: list[Any], expected: Any) -> None:
    assert await rows(path, sql, *parameters) == expected


@pytest.mark.parametrize("sql", ["EXPLAIN SELECT 1", "EXPLAIN QUERY PLAN SELECT * FROM orders"])
async def test_plans(path: Path, sql: str) -> None:
    assert (await run(path, "query", sql=sql))["row_count"] > 0


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("", "statement_refused"),
        ("-- nothing", "statement_refused"),
        (";", "statement_refused"),
        ("SELECT 1; SELECT 2", "statement_refused"),
        ("SELECT 1; DROP TABLE orders", "statement_refused"),
        ("DELETE FROM orders", "statement_refused"),
        ("DELETE FROM orders RETURNING *", "statement_refused"),
        ("EXPLAIN DELETE FROM orders", "statement_refused"),
        ("WITH x AS (SELECT 1) INSERT INTO customers (name) SELECT 'x'", "statement_refused"),
        ("UPDATE customers SET name = '' RETURNING 1", "statement_refused"),
        ("INSERT OR REPLACE INTO customers (id, name) VALUES (1, '')", "statement_refused"),
        ("CREATE TEMP TABLE t (a)", "statement_refused"),
        ("CREATE TABLE t AS SELECT 1", "statement_refused"),
        ("ALTER TABLE orders RENAME TO o", "statement_refused"),
        ("ATTACH ':memory:' AS m", "statement_refused"),
        ("ATTACH 'file:/tmp/x.sqlite3?mode=rwc' AS m", "statement_refused"),
        ("DETACH main", "statement_refused"),
        ("PRAGMA query_only = OFF", "statement_refused"),
        ("PRAGMA writable_schema = 1", "statement_refused"),
        ("PRAGMA database_list", "statement_refused"),
        ("VACUUM", "statement_refused"),
        ("VACUUM INTO '/tmp/copy.sqlite3'", "statement_refused"),
        ("ANALYZE", "statement_refused"),
        ("REINDEX", "statement_refused"),
        ("BEGIN IMMEDIATE", "statement_refused"),
        ("COMMIT", "statement_refused"),
        ("SAVEPOINT s", "statement_refused"),
        ("SELECT load_extension('/tmp/evil.so')", "function_refused"),
        ("SELECT * FROM loader", "function_refused"),
        ("SELECT 1 ORDER BY load_extension('x')", "function_refused"),
        ("SELECT sum(id) FILTER (WHERE readfile('/etc/passwd')) FROM orders", "query_failed"),
        ("SELECT fts3_tokenizer('simple')", "function_refused"),
        ("SELECT zeroblob(1000000000)", "function_refused"),
        ("SELECT randomblob(1000000000)", "function_refused"),
        ("SELECT * FROM pragma_database_list", "statement_refused"),
        ("SELECT * FROM pragma_table_info('orders')", "statement_refused"),
        ("SELECT count(*) FROM pragma_function_list", "statement_refused"),
        ("SELECT * FROM dbstat", "statement_refused"),
        ("SELECT * FROM nowhere", "query_failed"),
        ("SELEC 1", "query_failed"),
        ("SELECT ?", "query_failed"),
        ("SELECT 1\0; DROP TABLE orders", "sql_invalid"),
        ("SELECT '" + "x" * limits.DATABASE_SQL_MAX_BYTES + "'", "sql_too_long"),
        ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "query_failed"),
        ("SELECT 1" + " + 1" * 10_000, "query_failed"),
        ("SELECT 1" + " UNION SELECT 1" * 1_000, "query_failed"),
        ("SELECT hex(printf('%.*c', 900000, 'x'))", "query_failed"),
        ("SELECT printf('%.*c', 500000, 'x')", "result_too_large"),
        ("WITH RECURSIVE t(a) AS (SELECT 'xx' UNION ALL SELECT a || a FROM t) SELECT max(a) FROM t", "query_failed"),
    ],
)  # fmt: skip
async def test_refusals(path: Path, sql: str, code: str) -> None:
    before = path.read_bytes()
    assert await refusal(path, sql=sql) == code
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
        "SELECT count(*) FROM json_each('[1,2,3,4,5,6,7,8,9,0]') a"
        + "".join(f", json_each('[1,2,3,4,5,6,7,8,9,0]') t{place}" for place in range(12)),
    ],
)
async def test_what_does_not_end_is_ended(path: Path, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.servers.database.sqlite.DATABASE_STATEMENT_SECONDS", 0.1)
    assert await refusal(path, sql=sql) == "statement_timeout"


async def test_a_step_that_cannot_be_interrupted_is_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.servers.database.sqlite.DATABASE_CALL_SECONDS", 1.0)
    database = open_database(address(path))
    query = database_server(database).tools["query"]
    halves = ["a" * 1_000_000, "a" * 500_000 + "b"]
    with pytest.raises(ToolRefused) as refused:
        await query.call({"sql": "SELECT instr(?, ?)", "parameters": halves, "max_rows": 1})
    assert refused.value.code == "statement_timeout"
    answer = await query.call({"sql": "SELECT instr('ab', 'b')", "parameters": None, "max_rows": 1})
    assert answer.structured["rows"] == [[2]]
    database.close()


async def test_many_calls_at_once(path: Path) -> None:
    database = open_database(address(path))
    query = database_server(database).tools["query"]
    calls = [query.call({"sql": "SELECT ?", "parameters": [place], "max_rows": 1}) for place in range(20)]
    answers = await asyncio.gather(*calls)
    assert [answer.structured["rows"] for answer in answers] == [[[place]] for place in range(20)]
    database.close()


async def test_full_text_tables(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "notes")
    connection.executescript(
        "CREATE VIRTUAL TABLE notes USING fts5 (body); INSERT INTO notes VALUES ('a red fox'), ('a grey cat');"
    )
    connection.close()
    assert await rows(tmp_path / "notes", "SELECT body FROM notes WHERE notes MATCH 'fox'") == [["a red fox"]]
    assert await refusal(tmp_path / "notes", sql="INSERT INTO notes VALUES ('x')") == "statement_refused"
    assert await refusal(tmp_path / "notes", sql="INSERT INTO notes (notes) VALUES ('optimize')") == "statement_refused"


async def test_rows_are_cut_at_both_caps(path: Path) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) "
    cut = await run(path, "query", sql=endless + "SELECT n FROM t", max_rows=7)
    assert (cut["row_count"], cut["truncated"], cut["rows"][-1]) == (7, True, [7])
    wide = await run(path, "query", sql=endless + "SELECT printf('%.*c', 10000, 'x') FROM t", max_rows=1_000)
    assert wide["truncated"]
    assert 20 < wide["row_count"] < limits.DATABASE_RESULT_MAX_BYTES / 10_000
    exact = await run(path, "query", sql="SELECT id FROM customers", max_rows=5)
    assert (exact["row_count"], exact["truncated"]) == (5, False)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sql": "SELECT 1", "max_rows": 0},
        {"sql": "SELECT 1", "max_rows": 1_001},
        {"sql": ["SELECT 1"]},
        {"sql": "SELECT 1", "parameters": {"a": 1}},
        {"sql": "SELECT 1", "parameters": [1] * 101},
        {"sql": "SELECT 1", "read_only": False},
        {},
    ],
)
async def test_calls_of_the_wrong_shape(path: Path, arguments: dict[str, Any]) -> None:
    assert await refusal(path, **arguments) == "arguments_invalid"


@pytest.mark.parametrize("value", [[1], {"a": 1}, 2**63, -(2**63) - 1])
async def test_parameters_that_sqlite_has_no_type_for(path: Path, value: Any) -> None:
    assert await refusal(path, sql="SELECT ?", parameters=[value]) == "parameters_invalid"


async def test_tables(path: Path) -> None:
    listed = await run(path, "list_tables")
    assert [(table["name"], table["kind"]) for table in listed["tables"]] == [
        ("customers", "table"),
        ("loader", "view"),
        ('odd"name; DROP TABLE orders; --', "table"),
        ("orders", "table"),
        ("totals", "view"),
    ]
    assert not listed["truncated"]
    assert (await run(path, "list_tables", schema="main"))["tables"] == listed["tables"]
    assert (await run(path, "list_tables", schema="temp"))["tables"] == []


async def test_a_table_is_described(path: Path) -> None:
    assert await run(path, "describe_table", table="customers") == {
        "schema": "main",
        "name": "customers",
        "kind": "table",
        "columns": [
            {"name": "id", "type": "INTEGER", "nullable": False},
            {"name": "name", "type": "TEXT", "nullable": False},
            {"name": "joined", "type": "TEXT", "nullable": True, "default": "CURRENT_DATE"},
        ],
        "primary_key": ["id"],
        "foreign_keys": [],
    }
    orders = await run(path, "describe_table", table="orders", schema="main")
    assert orders["foreign_keys"] == [
        {"columns": ["customer"], "references": "customers", "referenced_columns": ["id"]}
    ]
    odd = await run(path, "describe_table", table='odd"name; DROP TABLE orders; --')
    assert [column["name"] for column in odd["columns"]] == ["a"]


async def test_the_whole_schema(path: Path) -> None:
    schema = await run(path, "get_schema")
    assert {table["name"]: len(table["columns"]) for table in schema["tables"] if table["name"] != "loader"} == {
        "customers": 3,
        'odd"name; DROP TABLE orders; --': 1,
        "orders": 4,
        "totals": 2,
    }


@pytest.mark.parametrize(
    "table",
    ["", "nowhere", "orders; --", "orders' OR '1'='1", "orders) UNION SELECT 1 --", "../orders", "sqlite_master"],
)
async def test_names_of_no_table(path: Path, table: str) -> None:
    assert await refusal(path, "describe_table", table=table) == "table_not_found"


async def test_names_that_are_none(path: Path) -> None:
    assert await refusal(path, "describe_table", table="x" * 257) == "arguments_invalid"
    assert await refusal(path, "describe_table", table=["orders"]) == "arguments_invalid"
    assert await refusal(path, "describe_table", table="orders", schema="temp") == "table_not_found"


async def test_files_that_are_no_database(tmp_path: Path) -> None:
    assert await refusal(tmp_path / "missing.sqlite3", sql="SELECT 1") == "database_unavailable"
    assert not (tmp_path / "missing.sqlite3").exists()
    assert await refusal(tmp_path, sql="SELECT 1") == "database_unavailable"
    os.mkfifo(tmp_path / "pipe")
    assert await refusal(tmp_path / "pipe", "list_tables") == "database_unavailable"
    (tmp_path / "text").write_text("no database, but more than a hundred bytes of text. " * 10)
    assert await refusal(tmp_path / "text", "get_schema") == "database_unavailable"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.sqlite3",
        "mysql://user:secret@host/db",
        "sqlite://secret/relative",
        "sqlite:secret",
        "sqlite:///secret?mode=rwc",
        "sqlite:///secret%00",
        "file:///secret",
        "http://[secret",
    ],
)
def test_addresses_of_no_database(url: str) -> None:
    with pytest.raises(AddressInvalid) as invalid:
        open_database(url)
    assert "secret" not in str(invalid.value)


def test_a_journal_beside_a_file_that_is_still_empty_stays(tmp_path: Path) -> None:
    (tmp_path / "d.sqlite3").touch()
    (tmp_path / "d.sqlite3-wal").write_bytes(b"comes before its database")
    database = open_database(address(tmp_path / "d.sqlite3"))
    OPENED.append(database)
    assert asyncio.run(database.tables(None)) == []
    assert (tmp_path / "d.sqlite3-wal").read_bytes() == b"comes before its database"


def test_a_file_that_is_locked_is_busy_and_a_name_that_sounds_so_is_not(tmp_path: Path) -> None:
    file = tmp_path / "d.sqlite3"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("CREATE TABLE t (a)")
    database = open_database(address(file))
    OPENED.append(database)
    with pytest.raises(ToolRefused) as refused:
        asyncio.run(database.query("SELECT is_busy FROM blocked", [], 1))
    assert refused.value.code == "query_failed"
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ToolRefused) as refused:
        asyncio.run(database.query("SELECT a FROM t", [], 1))
    assert refused.value.code == "database_busy"
    other.close()


def script(tmp_path: Path, sql: str) -> Path:
    file = tmp_path / "made.sqlite3"
    connection = sqlite3.connect(file)
    connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1);" + sql)
    connection.close()
    return file


UNKNOWN_MODULE = """
PRAGMA writable_schema = ON;
INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING elsewhere');
"""


@pytest.mark.parametrize(
    "unusual",
    [
        "CREATE TABLE wide (" + ",".join(f"c{number}" for number in range(1_500)) + ")",
        "CREATE VIEW long AS SELECT '" + "x" * 100_000 + "'",
        UNKNOWN_MODULE,
    ],
)
async def test_what_is_unusual_does_not_keep_the_rest_from_being_read(tmp_path: Path, unusual: str) -> None:
    file = script(tmp_path, unusual)
    assert await rows(file, "SELECT a FROM t") == [[1]]
    assert "t" in {table["name"] for table in (await run(file, "list_tables"))["tables"]}


async def test_descriptions_are_bounded_in_bytes(tmp_path: Path) -> None:
    many = ";".join(f"CREATE TABLE t{number} (a DEFAULT '{'d' * 9_000}')" for number in range(60))
    columns = ",".join(f"c{number} DEFAULT '{'d' * 300}'" for number in range(900))
    file = script(tmp_path, f"{many}; CREATE TABLE huge ({columns})")
    shown = await run(file, "get_schema")
    assert shown["truncated"] is True
    assert 0 < len(json.dumps(shown)) < limits.DATABASE_RESULT_MAX_BYTES * 2
    assert await refusal(file, "describe_table", table="huge") == "result_too_large"
    assert len((await run(file, "describe_table", table="t1"))["columns"]) == 1
