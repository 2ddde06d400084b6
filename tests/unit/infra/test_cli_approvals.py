"""`agentic approvals list` reads on until it has what was asked for, over pages that are empty."""

import httpx2
import msgspec
import pytest

from infra.cli.api import Api
from infra.cli.approvals import found_approvals

PAGES = {"": (["a", "b"], "one"), "one": ([], "two"), "two": (["c"], None)}


def answer(request: httpx2.Request) -> httpx2.Response:
    ids, following = PAGES[request.url.params.get("cursor", "")]
    assert request.url.params["assignee"] == "user:1"
    wanted = ids[: int(request.url.params["limit"])]
    shown = [{"id": id_, "execution_id": "x", "name": "sign", "created_at": "2026-03-01T00:00:00Z"} for id_ in wanted]
    return httpx2.Response(200, content=msgspec.json.encode({"approvals": shown, "next_cursor": following}))


@pytest.mark.parametrize(
    ("limit", "found"), [(1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"]), (1_000, ["a", "b", "c"])]
)
async def test_every_page_is_read_that_is_needed(limit: int, found: list[str]) -> None:
    async with Api("http://platform.test", "token", httpx2.MockTransport(answer)) as api:
        assert [each.id async for each in found_approvals(api, {"assignee": "user:1"}, limit)] == found
