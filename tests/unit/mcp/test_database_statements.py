"""Which statements the allow list for PostgreSQL lets pass. No server is needed: it is a matter of the grammar."""

import pytest

from services.mcp_gateway import limits
from services.mcp_gateway.servers.database import postgres_allowed as allowed
from services.mcp_gateway.servers.database.postgres_parser import parsing_thread
from services.mcp_gateway.servers.database.postgres_policy import Named, check
from services.mcp_gateway.servers.tools import ToolRefused


def refusal(sql: str) -> str:
    with pytest.raises(ToolRefused) as refused:
        check(sql)
    return refused.value.code


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select 1 ; ",
        "SELECT ';', $$a;b$$, $x$ -- $x$, E'\\'' /* ; /* nested */ */ -- ; DROP TABLE t",
        "VALUES (1, 'a'), (2, $1)",
        "TABLE orders",
        'SELECT "delete", update_count FROM audit',
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT * FROM t",
        "WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM a",
        "SELECT DISTINCT ON (a) a FROM t JOIN u USING (id) AS j LEFT JOIN v ON true CROSS JOIN LATERAL (SELECT 1) x",
        "SELECT count(*) FILTER (WHERE a > 1) OVER (w ROWS 2 PRECEDING) FROM t WINDOW w AS (PARTITION BY b ORDER BY c)",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), string_agg(DISTINCT a, ',' ORDER BY a) FROM t",
        "SELECT a FROM t GROUP BY GROUPING SETS ((a), ()), ROLLUP (b), CUBE (c) HAVING grouping(a) = 0",
        "SELECT 1 UNION ALL (SELECT 2 INTERSECT SELECT 3) EXCEPT SELECT 4 ORDER BY 1 FETCH FIRST 2 ROWS WITH TIES",
        "SELECT '1'::int, CAST(a AS numeric(10, 2)), date '2024-02-29', interval '1' day, x::text[], j -> 'a'",
        "SELECT EXTRACT(year FROM now()), SUBSTRING('abc' FROM 2), TRIM(BOTH 'x' FROM y), POSITION('a' IN b)",
        "SELECT CURRENT_DATE, LOCALTIMESTAMP(2), CURRENT_USER, now() AT TIME ZONE 'UTC', (a, b) OVERLAPS (c, d)",
        "SELECT a LIKE 'x' ESCAPE '!', a NOT ILIKE ALL (ARRAY['x']), a SIMILAR TO 'b', a ~ 'c', a BETWEEN 1 AND 2",
        "SELECT CASE a WHEN 1 THEN 2 ELSE 3 END, COALESCE(a, b), GREATEST(a, b), NULLIF(a, b), (r).f, (ARRAY[1])[1:2]",
        "SELECT * FROM generate_series(1, 9) WITH ORDINALITY AS g(a, b), json_to_recordset($1) AS r(a int, b text)",
        "SELECT * FROM t TABLESAMPLE system (10) REPEATABLE (1)",
        "SELECT pg_catalog.lower(a) OPERATOR(pg_catalog.||) 'x' COLLATE \"C\" FROM t ORDER BY 1 USING <",
        "SELECT make_interval(days => 3), concat(VARIADIC ARRAY['a']), repeat('-', 80), lpad(a, 5, '0')",
        "SELECT * FROM information_schema.tables",
        "SELECT (SELECT 1), EXISTS (SELECT 1), 1 IN (SELECT 1), 1 = ANY (SELECT 1)",
        "EXPLAIN SELECT * FROM t",
        "EXPLAIN (VERBOSE, COSTS off, FORMAT json) SELECT 1",
        "SHOW server_version",
        "SHOW TIME ZONE",
    ],
)
def test_statements_that_read(sql: str) -> None:
    assert isinstance(check(sql), Named)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        " ;; -- nothing",
        "SELECT 1; SELECT 2",
        "SELECT 1; COMMIT",
        "INSERT INTO t VALUES (1) RETURNING *",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
        "WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x",
        "SELECT * FROM (WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x) y",
        "SELECT * INTO n FROM t",
        "SELECT * INTO TEMP n FROM t",
        "WITH a AS (SELECT 1) SELECT * INTO n FROM a",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM (SELECT * FROM t FOR KEY SHARE SKIP LOCKED) x",
        "CREATE TABLE n AS SELECT 1",
        "CREATE TEMP VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP TABLE t",
        "ALTER ROLE me SUPERUSER",
        "GRANT SELECT ON t TO PUBLIC",
        "TRUNCATE t",
        "COPY t TO STDOUT",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "DO 'BEGIN END'",
        "CALL p()",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN (ANALYZE false) SELECT 1",
        "EXPLAIN (BUFFERS, ANALYZE) SELECT 1",
        "EXPLAIN DELETE FROM t",
        "EXPLAIN EXECUTE p",
        "EXPLAIN CREATE TABLE n AS SELECT 1",
        "EXPLAIN DECLARE c CURSOR FOR SELECT 1",
        "BEGIN",
        "COMMIT AND CHAIN",
        "ROLLBACK",
        "SAVEPOINT s",
        "PREPARE TRANSACTION 'x'",
        "SET transaction_read_only = off",
        "SET LOCAL statement_timeout = 0",
        "RESET ALL",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SHOW ALL",
        "SHOW data_directory",
        "SHOW hba_file",
        "LISTEN c",
        "NOTIFY c, 'x'",
        "UNLISTEN *",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE ALL",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "FETCH ALL FROM c",
        "LOCK TABLE t",
        "VACUUM",
        "ANALYZE t",
        "CLUSTER",
        "REINDEX TABLE t",
        "REFRESH MATERIALIZED VIEW m",
        "CHECKPOINT",
        "LOAD 'evil'",
        "DISCARD ALL",
        "SECURITY LABEL ON TABLE t IS 'x'",
        "IMPORT FOREIGN SCHEMA s FROM SERVER f INTO public",
        "SELECT xmlelement(NAME a)",
        "SELECT xmlserialize(CONTENT a AS text)",
        "SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b int)",
        "SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a int))",
        "SELECT * FROM other.public.t",
        "SELECT NULL::SETOF int",
    ],
)
def test_statements_that_are_refused(sql: str) -> None:
    assert refusal(sql) == "statement_refused"


@pytest.mark.parametrize(
    "expression",
    [
        "pg_read_file('/etc/passwd')",
        "pg_catalog.pg_read_file('/etc/passwd')",
        "U&\"\\0070g_read_file\"('/etc/passwd')",
        "PG_SLEEP(1)",
        '"pg_sleep"(1)',
        "pg_catalog . /* x */ pg_sleep (1)",
        "public.lower('x')",
        "mine()",
        "set_config('a.b', 'c', false)",
        "current_setting('data_directory')",
        "pg_advisory_xact_lock(1)",
        "pg_try_advisory_lock(1)",
        "nextval('s')",
        "currval('s')",
        "setval('s', 1)",
        "lastval()",
        "lo_import('/etc/passwd')",
        "lo_get(1)",
        "loread(1, 2)",
        "dblink('host=x', 'SELECT 1')",
        "query_to_xml('DELETE FROM t', true, true, '')",
        "table_to_xml('t', true, true, '')",
        "database_to_xml(true, true, '')",
        "cursor_to_xml('c', 1, true, true, '')",
        "xpath('/a', '<a/>')",
        "ts_stat('SELECT 1')",
        "ts_rewrite('a'::tsquery, 'SELECT 1')",
        "pg_terminate_backend(1)",
        "pg_cancel_backend(1)",
        "pg_reload_conf()",
        "pg_switch_wal()",
        "pg_notify('c', 'x')",
        "pg_export_snapshot()",
        "pg_current_xact_id()",
        "txid_current()",
        "pg_logical_emit_message(false, 'a', 'b')",
        "pg_create_restore_point('x')",
        "pg_ls_dir('.')",
        "pg_stat_file('x')",
        "pg_backend_pid()",
        "inet_server_addr()",
        "pg_get_functiondef(1)",
        "pg_relation_size('t')",
        "setseed(0.5)",
        "json_populate_record(NULL, '{}')",
        "has_table_privilege('t', 'SELECT')",
        "to_regclass('t')",
        "array_fill(1, ARRAY[1000000])",
        "repeat('x', 10001)",
        "repeat('x', 2147483648)",
        "repeat('x', n)",
        "lpad('x', (SELECT 1000000000))",
        "rpad('x', $1)",
    ],
)
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT {}",
        "VALUES ({})",
        "SELECT 1 WHERE {} IS NULL",
        "SELECT * FROM {} AS f",
        "SELECT * FROM ROWS FROM ({}) AS f",
        "SELECT * FROM t JOIN u ON {} IS NOT NULL",
        "SELECT 1 ORDER BY {}",
        "SELECT 1 GROUP BY {} HAVING {} IS NULL",
        "SELECT 1 LIMIT (SELECT length({}::text))",
        "SELECT 1 OFFSET {}",
        "SELECT count(*) FILTER (WHERE {} IS NULL)",
        "SELECT rank() OVER (PARTITION BY {} ORDER BY 1)",
        "SELECT rank() OVER w WINDOW w AS (ORDER BY {})",
        "SELECT sum(1) OVER (ROWS {} PRECEDING)",
        "SELECT array_agg(1 ORDER BY {})",
        "SELECT CASE WHEN true THEN {} END",
        "SELECT COALESCE(NULL, {})",
        "SELECT ARRAY[{}], ROW({})",
        "SELECT (ARRAY[1])[{}]",
        "SELECT ({}).a",
        "SELECT ({})::text",
        "SELECT 1 = ANY (SELECT {})",
        "WITH x AS (SELECT {}) SELECT 1",
        "SELECT DISTINCT ON ({}) 1",
        "SELECT 1 UNION SELECT {}",
        "SELECT * FROM t TABLESAMPLE system ({})",
        "SELECT abs(VARIADIC x => {})",
        "EXPLAIN SELECT {}",
    ],
)
def test_functions_that_are_refused_wherever_they_stand(statement: str, expression: str) -> None:
    if "ROWS FROM" in statement or "AS f" in statement:
        statement = statement.replace("AS f", "")
    if refusal(statement.replace("{}", expression)) != "function_refused":
        # Some places take no subquery or constant by the grammar itself.
        assert refusal(statement.replace("{}", expression)) == "sql_invalid"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT 1 OPERATOR(public.+) 2", "function_refused"),
        ("SELECT 1 = OPERATOR(mine.=) ANY (SELECT 2)", "sql_invalid"),
        ("SELECT 1 OPERATOR(mine.=) ANY (SELECT 2)", "function_refused"),
        ("SELECT 1 ORDER BY 1 USING OPERATOR(mine.<)", "function_refused"),
        ("SELECT * FROM t TABLESAMPLE mine (1)", "function_refused"),
        ("SELECT 'x'::pg_catalog.xml", "type_refused"),
        ("SELECT 'x'::pg_catalog.pg_lsn", "type_refused"),
        ("SELECT 'x'::a.b.c", "type_refused"),
        ("SELECT * FROM json_to_record('{}') AS r(a pg_catalog.xml)", "type_refused"),
        ("SELECT * FROM pg_authid", "relation_refused"),
        ("SELECT * FROM pg_catalog.pg_class", "relation_refused"),
        ("SELECT * FROM pg_toast.pg_toast_1", "relation_refused"),
        ("TABLE pg_hba_file_rules", "relation_refused"),
        ("SELECT 1 WHERE EXISTS (SELECT FROM ONLY pg_shadow)", "relation_refused"),
        ("SELECT FROM WHERE", "sql_invalid"),
        ("SELECT 'x", "sql_invalid"),
        ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "statement_too_deep"),
        ("SELECT " + "NOT " * 5_000 + "true", "statement_too_deep"),
        ("SELECT " + "ARRAY[" * 5_000 + "1" + "]" * 5_000, "statement_too_deep"),
        ("SELECT 1" + " UNION SELECT 1" * 4_000, "statement_too_deep"),
        ("SELECT " + "abs(" * 300 + "1" + ")" * 300, "statement_too_deep"),
    ],
)
def test_other_refusals(sql: str, code: str) -> None:
    assert refusal(sql) == code


def test_the_deepest_statement_that_may_be_sent_does_not_overflow_the_parser() -> None:
    executor = parsing_thread()
    for unit in ("+1", "::a", " ISNULL", "-1"):
        sql = "SELECT 1" + unit * ((limits.DATABASE_SQL_MAX_BYTES - 8) // len(unit))
        assert executor.submit(refusal, sql).result() == "statement_too_deep"
    executor.shutdown()


def test_long_lists_are_not_deep() -> None:
    numbers = ", ".join(map(str, range(5_000)))
    check(f"SELECT a FROM t WHERE b IN ({numbers})")
    check("SELECT 1 WHERE " + " OR ".join(["a = 1"] * 3_000))


def test_what_the_catalogue_is_asked() -> None:
    named = check(
        "SELECT lower(u.name), (u.address).street, t.*, s.a.b.c, 'x'::mood, 1 <-> 2 FROM users u JOIN s.a ON true "
        "ORDER BY 1 USING >>"
    )
    assert named.functions == {"lower"}
    assert named.operators >= {"<->", ">>", "="}
    assert named.types == {("", "mood")}
    assert named.relations == {("", "users"), ("s", "a")}
    assert named.row_fields == {"name", "address", "a", "b", "c"}
    assert named.value_fields == {"street"}


def test_what_repeats_text_is_allowed_by_its_length_alone() -> None:
    assert set(allowed.REPEATING) <= allowed.FUNCTIONS
    check(f"SELECT repeat('x', {limits.DATABASE_REPEAT_MAX}), repeat('x', 0), repeat('x', -1), lpad('x', 5, 'y')")
