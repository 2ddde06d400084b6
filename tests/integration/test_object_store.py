"""Every place for archives does the same: a folder, and a store that speaks S3."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.workflow.adapters.object_store import ObjectArchive, open_store
from services.workflow.errors import ArchiveUnreadable
from shared.settings import SettingsInvalid
from tests.conftest import Backbone
from tests.fixtures.retained import retained, scope
from tests.fixtures.s3_server import ACCESS, BUCKET, REGION, SECRET, S3Server, s3_server

KEY = "tenant/2026/01/02/batch.jsonl.gz"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_REGION", REGION)
        yield server


@pytest.fixture(params=["file", "folder", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectArchive:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return ObjectArchive(open_store(f"s3://{BUCKET}/some/prefix", tmp_path))
    url = f"file://{tmp_path}/with space" if request.param == "file" else ""
    return ObjectArchive(open_store(url, tmp_path / "archive"))


async def test_what_is_put_is_got_whole_and_in_part(archive: ObjectArchive) -> None:
    await archive.put(KEY, b"0123456789")
    assert await archive.get(KEY) == b"0123456789"
    assert await archive.get_range(KEY, 3, 4) == b"3456"
    await archive.put(KEY, b"again")
    assert await archive.get(KEY) == b"again"


async def test_what_is_not_there_is_a_typed_error(archive: ObjectArchive) -> None:
    with pytest.raises(ArchiveUnreadable):
        await archive.get(KEY)
    with pytest.raises(ArchiveUnreadable):
        await archive.get_range(KEY, 0, 1)


async def test_a_range_behind_the_end_is_a_typed_error(archive: ObjectArchive) -> None:
    await archive.put(KEY, b"short")
    with pytest.raises(ArchiveUnreadable):
        await archive.get_range(KEY, 100, 10)


async def test_what_is_deleted_is_gone_and_may_be_deleted_again(archive: ObjectArchive) -> None:
    await archive.put(KEY, b"x")
    await archive.delete(KEY)
    await archive.delete(KEY)
    with pytest.raises(ArchiveUnreadable):
        await archive.get(KEY)


async def test_objects_lie_under_the_prefix(s3: S3Server, tmp_path: Path) -> None:
    await ObjectArchive(open_store(f"s3://{BUCKET}/some/prefix", tmp_path)).put(KEY, b"x")
    assert list(s3.objects) == [f"some/prefix/{KEY}"]


async def test_a_busy_store_is_asked_again(s3: S3Server, tmp_path: Path) -> None:
    s3.failing = 2
    await ObjectArchive(open_store(f"s3://{BUCKET}", tmp_path)).put(KEY, b"x")
    assert len(s3.requests) == 3


async def test_a_wrong_secret_is_refused(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(ArchiveUnreadable):
        await ObjectArchive(open_store(f"s3://{BUCKET}", tmp_path)).put(KEY, b"x")
    assert not s3.objects


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://", "file://host/x", "file:relative", "archive"])
def test_a_url_that_means_nothing_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="AGENTIC_WORKFLOW_ARCHIVE_URL"):
        open_store(url, tmp_path)


async def test_an_execution_is_read_back_from_s3(backbone: Backbone, s3: S3Server, tmp_path: Path) -> None:
    store = open_store(f"s3://{BUCKET}/prefix", tmp_path)
    async with retained(backbone, tmp_path / "archive", store) as house:
        workflow = await house.workflow()
        ids = [await house.execution(workflow) for _ in range(5)]
        before = await house.log.read_streams(ids)
        assert await house.archive() == 5
        assert len(s3.objects) == 1
        await house.erase_events(ids)
        for execution in ids:
            assert await house.reads.history(scope(), execution) == before[execution]
        [key] = s3.objects
        del s3.objects[key]
        with pytest.raises(ArchiveUnreadable):
            await house.reads.history(scope(), ids[0])
