"""Histories longer than a page are read to their end."""

import httpx2
import msgspec

from infra.cli import history
from infra.cli.api import Api

EVENTS = 2_345
SERVED = 1_000  # events of one answer, whatever was asked for


class Served:
    """The API's answer to `GET …/events`: it knows `after` and `limit`, and nothing else."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        asked = dict(request.url.params)
        self.asked.append(asked)
        after, limit = int(asked.get("after", 0)), min(int(asked.get("limit", SERVED)), SERVED)
        versions = range(after + 1, min(after + limit, self.count) + 1)
        events = [{"version": version, "type": "workflow.step-completed.v1"} for version in versions]
        more = versions[-1] if len(versions) == limit else None
        body = {"events": events, "total": len(events), "next_after": more}
        return httpx2.Response(200, content=msgspec.json.encode(body))


async def read(served: Served) -> list[int]:
    async with Api("http://platform.test", "token", httpx2.MockTransport(served)) as api:
        return [event.version async for event in history.recorded(api, "one")]


async def test_every_event_is_yielded_once_and_in_order() -> None:
    served = Served(EVENTS)
    assert await read(served) == list(range(1, EVENTS + 1))
    assert [asked["after"] for asked in served.asked] == ["0", "1000", "2000"]


async def test_a_history_that_ends_with_its_page_ends() -> None:
    served = Served(SERVED)
    assert await read(served) == list(range(1, SERVED + 1))
    assert len(served.asked) == 2
