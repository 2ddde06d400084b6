"""When a server is left alone, and what is said of it."""

import math
from collections.abc import Callable
from uuid import uuid4

import msgspec
import pytest

from services.mcp_gateway.app.health import HealthChange, Healths
from services.mcp_gateway.domain.breaker import Breaker, Verdict, verdict_of
from services.mcp_gateway.domain.latencies import Latencies
from services.mcp_gateway.domain.retry import pause
from services.mcp_gateway.domain.server import Server, ServerConfig
from services.mcp_gateway.errors import ProtocolViolation, ServerDied, ServerUnavailable, ToolError, ToolTimeout
from shared.errors import PlatformError
from tests.unit.gateway.call_path import server_with


def call(breaker: Breaker, now: float, verdict: Verdict) -> None:
    assert breaker.wait(now) == 0
    breaker.end(breaker.begin(now), verdict, now + 0.01)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for number in range(5):
        call(breaker, at + number * 0.1 - 0.4, "failed")
    assert breaker.state == "open"
    return breaker


@pytest.mark.parametrize(
    ("verdicts", "apart", "state"),
    [
        ("ffff", 1, "closed"),
        ("fffff", 1, "open"),
        ("ffnffnf", 1, "open"),
        ("f" * 50, 7.6, "closed"),
        ("fofofofof", 1, "open"),
        ("foofoofoofoofoofoo", 1, "closed"),
        ("ooooooooooooooofffff", 0.1, "closed"),
        ("oooooooooooooooffffffffff", 0.1, "open"),
        ("n" * 50, 0.1, "closed"),
    ],
)
def test_it_opens_when_enough_and_half_of_the_last_calls_failed(verdicts: str, apart: float, state: str) -> None:
    breaker = Breaker()
    names: dict[str, Verdict] = {"f": "failed", "o": "ok", "n": "none"}
    for number, verdict in enumerate(verdicts):
        call(breaker, number * apart, names[verdict])
    assert breaker.state == state


def test_one_death_is_one_failure_however_many_calls_it_fails() -> None:
    breaker = Breaker()
    for death in range(4):
        tickets = [breaker.begin(float(death)) for _ in range(64)]
        for ticket in tickets:
            breaker.end(ticket, "failed", death + 0.5)
    assert breaker.state == "closed"
    breaker.end(breaker.begin(4.0), "failed", 4.5)
    assert breaker.state == "open"


def test_one_call_tries_and_the_others_wait_for_it() -> None:
    breaker = opened()
    assert breaker.wait(1) == pytest.approx(4.01)
    assert breaker.wait(5.02) == 0
    probe = breaker.begin(5.02)
    assert (probe.probe, breaker.state) == (True, "half_open")
    assert breaker.wait(5.03) > 0
    breaker.end(probe, "ok", 5.04)
    assert (breaker.state, breaker.wait(5.05)) == ("closed", 0)
    for now in (6, 7, 8, 9):
        call(breaker, now, "failed")
    assert breaker.state == "closed", "what was before is forgotten"


def test_it_waits_longer_with_each_failed_probe_and_not_for_ever() -> None:
    breaker, now = opened(), 0.0
    waits = []
    for _ in range(6):
        now += breaker.wait(now)
        breaker.end(breaker.begin(now), "failed", now)
        waits.append(breaker.wait(now))
    assert waits == pytest.approx([10, 20, 40, 60, 60, 60])
    call(breaker, now + 60, "ok")
    for number in range(5):
        call(breaker, now + 61 + number, "failed")
    assert breaker.wait(now + 66) < 5


def test_a_probe_that_says_nothing_lets_the_next_one_try() -> None:
    breaker = opened()
    breaker.end(breaker.begin(6), "none", 6)
    assert (breaker.state, breaker.wait(6)) == ("half_open", 0)
    call(breaker, 6, "ok")
    assert breaker.state == "closed"


def test_calls_from_before_it_opened_change_nothing() -> None:
    breaker = Breaker()
    early = [breaker.begin(0.0) for _ in range(50)]
    for number in range(5):
        call(breaker, number + 1.0, "failed")
    breaker.end(early[0], "ok", 6)
    assert breaker.state == "open"
    call(breaker, 11, "ok")
    for ticket in early[1:]:
        breaker.end(ticket, "failed", 12)
    for number in range(4):
        call(breaker, 13.0 + number, "failed")
    assert breaker.state == "closed"


@pytest.mark.parametrize(
    ("code", "retry_after", "seconds", "expected"),
    [
        ("server_died", None, 30, "failed"),
        ("protocol_violation", None, 30, "failed"),
        ("tool_timeout", None, 30, "failed"),
        ("tool_timeout", None, 0.5, "none"),
        ("server_unavailable", None, 30, "failed"),
        ("server_unavailable", 3.0, 30, "none"),
        ("server_busy", 1.0, 30, "none"),
        ("command_not_allowed", None, 30, "none"),
        ("tool_error", None, 30, "ok"),
        ("tool_not_found", None, 30, "ok"),
        ("arguments_invalid", None, 30, "ok"),
        ("result_too_large", None, 30, "ok"),
    ],
)
def test_what_a_failure_says_of_its_server(code: str, retry_after: float | None, seconds: float, expected: str) -> None:
    assert verdict_of(code, retry_after, seconds) == expected


def test_pauses_double_and_keep_to_what_was_asked() -> None:
    assert [pause(attempts, None, 0) for attempts in (1, 2, 3, 7, 500)] == [0.1, 0.2, 0.4, 5, 5]
    assert pause(1, None, 1) == 0.05
    assert pause(1, 3.0, 0.5) == 3.0


def test_percentiles_are_of_the_last_calls() -> None:
    latencies = Latencies()
    assert latencies.percentiles() is None
    latencies.add(5)
    only = latencies.percentiles()
    assert only is not None
    assert (only.calls, only.p50_ms, only.p95_ms, only.p99_ms) == (1, 5, 5, 5)
    for _ in range(500):
        latencies.add(1_000)
    for number in range(256):
        latencies.add(number + 1)
    last = latencies.percentiles()
    assert last is not None
    assert (last.calls, last.p50_ms, last.p95_ms, last.p99_ms) == (256, 128, 244, 254)


class Watched:
    def __init__(self) -> None:
        self.now = 0.0
        self.changes: list[HealthChange] = []
        self.healths = Healths(self.changes.append, lambda: self.now)
        self.server = server_with(ServerConfig())

    def call(self, error: Exception | None = None, server: Server | None = None, seconds: float = 30) -> None:
        self.now += 0.1
        with self.healths.call(server or self.server, seconds) as latencies:
            if error is not None:
                raise error
            latencies.add(2.0)

    def fails(self, error: Callable[[str], Exception], times: int, server: Server | None = None) -> None:
        for _ in range(times):
            with pytest.raises(PlatformError):
                self.call(error("no"), server)

    @property
    def told(self) -> list[str]:
        return [change.status for change in self.changes]


@pytest.mark.parametrize("error", [ServerDied, ProtocolViolation, ToolTimeout, ServerUnavailable])
def test_a_server_that_fails_is_left_alone_and_tried_again(error: Callable[[str], Exception]) -> None:
    watched = Watched()
    watched.call()
    watched.fails(error, 5)
    assert (watched.told, watched.healths.circuit(watched.server)) == (["unhealthy"], "open")
    with pytest.raises(ServerUnavailable) as refusal:
        watched.call()
    assert refusal.value.retry_after == pytest.approx(4.9)
    watched.now += math.ceil(refusal.value.retry_after or 0)
    watched.call()
    assert watched.told == ["unhealthy", "healthy"]
    first, second = watched.changes
    assert (first.version, second.version, first.stream) == (1, 2, second.stream)
    assert (first.before, second.before) == ("healthy", "unhealthy")
    assert (first.tenant_id, first.server_id) == (watched.server.tenant_id, watched.server.id)
    percentiles = watched.healths.latency(watched.server)
    assert percentiles is not None
    assert percentiles.calls == 2


def test_errors_of_tools_and_bugs_of_ours_say_nothing_against_a_server() -> None:
    watched = Watched()
    watched.fails(ToolError, 50)
    for _ in range(50):
        with pytest.raises(KeyError):
            watched.call(KeyError("a bug"))
        with pytest.raises(ToolTimeout):
            watched.call(ToolTimeout("too short"), seconds=0.01)
    assert watched.told == []
    watched.call()


def test_one_way_that_fails_degrades_a_server_and_leaves_the_others() -> None:
    watched = Watched()
    special = msgspec.structs.replace(watched.server, identity="config.1")
    watched.call()
    watched.fails(ServerDied, 5, special)
    assert watched.told == ["degraded"]
    watched.call()
    watched.fails(ServerDied, 5)
    assert watched.told == ["degraded", "unhealthy"]
    anew = msgspec.structs.replace(watched.server, revision=2)
    watched.call(server=anew)
    assert watched.told == ["degraded", "unhealthy", "healthy"], "another definition begins anew"


def test_a_way_that_nobody_takes_any_more_is_forgotten() -> None:
    watched = Watched()
    special = msgspec.structs.replace(watched.server, identity="config.1")
    watched.call()
    watched.fails(ServerDied, 5, special)
    watched.now += 599
    watched.call()
    assert watched.told == ["degraded"]
    watched.now += 2
    watched.call()
    assert watched.told == ["degraded", "healthy"]
    watched.fails(ServerDied, 5, special)
    watched.healths.forget(watched.server)
    watched.fails(ServerDied, 1, special)
    assert watched.told == ["degraded", "healthy", "degraded"], "nothing is known to be better yet"
    watched.call(server=special)
    assert watched.told == ["degraded", "healthy", "degraded", "healthy"]


def test_ways_of_one_server_are_bounded() -> None:
    watched = Watched()
    for number in range(500):
        watched.call(server=msgspec.structs.replace(watched.server, identity=f"config.{number}"))
    assert [len(standing.ways) for standing in watched.healths._standings.values()] == [64]


def test_no_sign_of_life_is_said_and_calls_go_on() -> None:
    watched = Watched()
    watched.healths.pinged(watched.server, 10, ServerUnavailable("No answer."))
    assert (watched.told, watched.healths.circuit(watched.server)) == (["unhealthy"], "closed")
    watched.healths.pinged(watched.server, 10, ServerUnavailable("Backing off.", retry_after=1))
    watched.call()
    assert watched.told == ["unhealthy", "healthy"]
    watched.fails(ServerDied, 5)
    watched.healths.pinged(watched.server, 10)
    assert watched.told == ["unhealthy", "healthy", "unhealthy"], "it lives, and its calls fail"


def test_servers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.app.health.HEALTH_SERVERS_MAX", 2)
    watched = Watched()
    for _ in range(10):
        watched.call(server=msgspec.structs.replace(watched.server, id=uuid4()))
    assert len(watched.healths._standings) == 2
