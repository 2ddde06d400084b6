"""The digest of a read model: another for every difference, the same in whatever order the rows lie, and bounded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.retained import STRANGER, TENANT, House, retained, until

SERVICES = Path(__file__).parents[2] / "services"
CHANGES = {
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "now()",
    "text": "coalesce({}, '') || 'x'",
    "bytea": "coalesce({}, '') || '\\x00'",
    "ARRAY": "{} || 'x'::text",
    "smallint": "{} + 1",
    "bigint": "{} + 1",
    "double precision": "{} + 1",
}
OTHERWISE = {"period": "CASE period WHEN 'day' THEN 'hour' ELSE 'day' END"}


@pytest_asyncio.fixture
async def house(backbone: Backbone, tmp_path: Path) -> AsyncIterator[House]:
    async with retained(backbone, tmp_path / "archive") as made:
        workflow, other = await made.workflow(), await made.workflow(tenant=STRANGER)
        for noon in (until(-3.5), until(-5.5)):  # at midnight an hour begins with its day: two rows of one key
            await made.execution(workflow, days_ago=noon, waited=True)
            await made.execution(other, tenant=STRANGER, days_ago=noon, waited=True)
        await made.follow()
        yield made


async def digests(house: House) -> list[str]:
    async with house.pool.acquire() as connection:
        return [await projection.digest(connection) for projection in house.projections]


async def columns(house: House, table: str) -> list[tuple[str, str]]:
    return [
        tuple(row)
        for row in await house.admin.fetch(
            "SELECT column_name::text, data_type::text FROM information_schema.columns "
            "WHERE table_schema = 'workflow' AND table_name = $1",
            table,
        )
    ]


@pytest.mark.parametrize("table", ["workflow_counters", "workflow_periods", "workflow_durations", "waits"])
async def test_a_change_in_any_column_of_one_row_is_seen(house: House, table: str) -> None:
    before = await digests(house)
    await house.admin.execute(f"CREATE TEMPORARY TABLE was AS SELECT * FROM workflow.{table}")
    for name, kind in await columns(house, table):
        change = OTHERWISE.get(name, CHANGES[kind].format(name))
        await house.admin.execute(
            f"UPDATE workflow.{table} SET {name} = {change} "
            f"WHERE ctid = (SELECT ctid FROM workflow.{table} WHERE tenant_id = $1 LIMIT 1)",
            TENANT,
        )
        assert await digests(house) != before, name
        await house.admin.execute(f"DELETE FROM workflow.{table}")
        await house.admin.execute(f"INSERT INTO workflow.{table} SELECT * FROM was")
        assert await digests(house) == before


async def test_order_does_not_matter_and_a_row_that_is_missing_or_new_does(house: House) -> None:
    before = await digests(house)
    await house.admin.execute("CREATE TEMPORARY TABLE was AS SELECT * FROM workflow.waits")
    await house.admin.execute("DELETE FROM workflow.waits")
    empty = await digests(house)
    await house.admin.execute("INSERT INTO workflow.waits SELECT * FROM was ORDER BY id DESC")
    assert await digests(house) == before
    await house.admin.execute("DELETE FROM workflow.waits WHERE id = (SELECT id FROM was LIMIT 1)")
    assert len({before[1], empty[1], (await digests(house))[1]}) == 3


def digest_queries() -> list[Any]:
    return [
        pytest.param(query, id=f"{file.stem}-{query.split()[0]}")
        for file in sorted(SERVICES.rglob("*.sql"))
        for query in file.read_text(encoding="utf-8").split("-- name: ")[1:]
        if query.startswith("digest")
    ]


@pytest.mark.parametrize("query", digest_queries())
def test_no_digest_gathers_its_rows_first(query: str) -> None:
    """A value has at most 1 GB: what gathers a table in one fails on a large one."""
    assert not any(gather in query for gather in ("string_agg", "array_agg", "json_agg", "jsonb_agg"))
    assert "count(*)" in query
