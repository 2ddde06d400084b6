"""Watching an execution: when it is looked at, what is told of it, and when that ends."""

import asyncio
import datetime as dt
import time
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.mcp_gateway.adapters.watching import Watch
from services.mcp_gateway.domain.executions import Standing, WaitsFor
from services.mcp_gateway.errors import ServerUnavailable
from shared.errors import NotFound

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
RUNNING = Standing(uuid4(), "running", 1, NOW, steps_total=3)
WAITING = msgspec.structs.replace(RUNNING, status="waiting", version=2, waits_for=[WaitsFor("event", "paid", "a")])
ENDED = msgspec.structs.replace(RUNNING, status="completed", version=9, steps_done=3)


class Service:
    """A workflow service that answers as it is told, the last time for ever."""

    def __init__(self, *answers: Standing | Exception | None) -> None:
        self._answers = list(answers)
        self.seen: list[int] = []

    async def standing(self, _: UUID, __: UUID, seen: int = 0) -> Standing | None:
        self.seen.append(seen)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Progress:
    def __init__(self) -> None:
        self.told: list[tuple[float, float | None]] = []

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        self.told.append((progress, total))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORKFLOW_LOOK_SECONDS", "WORKFLOW_PROGRESS_SECONDS", "WORKFLOW_LOOK_SECONDS_MAX"):
        monkeypatch.setattr(f"services.mcp_gateway.adapters.watching.{name}", 0.005)


def watch(service: Any, relay: Any = None) -> Watch:
    return Watch(service, uuid4(), uuid4(), asyncio.Event(), relay)


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


async def test_what_ended_is_returned_and_what_was_seen_is_not_asked_for_again() -> None:
    service = Service(RUNNING, None, WAITING, None, ENDED)
    assert await watch(service).until(soon(), stop_at_waits=False) == ENDED
    assert service.seen == [0, 1, 1, 2, 2]


async def test_who_wants_to_hear_of_waits_hears_of_them() -> None:
    assert await watch(Service(RUNNING, WAITING, ENDED)).until(soon(), stop_at_waits=True) == WAITING


async def test_an_outage_and_a_start_that_is_on_its_way_are_waited_for() -> None:
    service = Service(NotFound("Not yet."), ServerUnavailable("Away."), RUNNING, ServerUnavailable("Away."), ENDED)
    assert await watch(service).until(soon(), stop_at_waits=True) == ENDED


@pytest.mark.parametrize(
    ("answers", "expected"),
    [((RUNNING, None), RUNNING), ((NotFound("No."),), None), ((ServerUnavailable("A."),), None)],
)
async def test_when_the_time_is_over_it_says_what_it_knows(answers: Any, expected: Standing | None) -> None:
    assert await watch(Service(*answers)).until(soon(0.03), stop_at_waits=True) == expected


async def test_progress_is_told_when_there_is_some() -> None:
    relay = Progress()
    one = msgspec.structs.replace(RUNNING, version=2, steps_done=1)
    same = msgspec.structs.replace(one, version=3)
    await watch(Service(RUNNING, one, same, ENDED), relay).until(soon(), stop_at_waits=True)
    assert relay.told == [(0, 3), (1, 3), (3, 3)]


async def test_who_asks_for_what_is_not_there_is_told_so() -> None:
    with pytest.raises(NotFound):
        await watch(Service(NotFound("No."))).begin(soon(0.02))
    with pytest.raises(ServerUnavailable):
        await watch(Service(ServerUnavailable("Away."))).begin(soon())
    begun = watch(service := Service(NotFound("Not yet."), RUNNING, ENDED))
    await begun.begin(soon())
    assert service.seen == [0, 0]
    assert await begun.until(soon(), stop_at_waits=True) == ENDED


async def test_a_cancellation_that_an_answer_swallows_ends_it_all_the_same() -> None:
    asked = asyncio.Event()

    class Swallowing(Service):
        async def standing(self, *_: Any) -> Standing | None:
            asked.set()
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                return RUNNING
            return None

    watching = asyncio.create_task(watch(Swallowing(None)).until(soon(), stop_at_waits=True))
    await asked.wait()
    watching.cancel()
    began = time.monotonic()
    await asyncio.wait([watching])
    assert (watching.cancelled(), time.monotonic() - began < 1) == (True, True)
