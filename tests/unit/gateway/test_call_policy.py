"""The rules on the path of a call: what is refused, what is made again, and what is on record of it."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.mcp_gateway.domain.server import ServerConfig
from services.mcp_gateway.errors import ServerDied, ServerUnavailable, ToolError, ToolTimeout
from shared.errors import PlatformError, Unavailable
from tests.unit.gateway.call_path import ACTS, READS, SCOPE, Gateway


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.domain.retry.RETRY_SECONDS", 0.001)


async def asked(gateway: Gateway, call: Any) -> dict[str, Any]:
    await gateway.records.settled(SCOPE.tenant_id)
    decoded: dict[str, Any] = msgspec.json.decode((await gateway.log.read_streams([call]))[call][0].data)
    return decoded


async def ended(gateway: Gateway, call: Any) -> dict[str, Any]:
    await gateway.records.settled(SCOPE.tenant_id)
    decoded: dict[str, Any] = msgspec.json.decode((await gateway.log.read_streams([call]))[call][-1].data)
    return decoded


async def test_a_denied_tool_is_not_called_and_the_decision_is_on_record() -> None:
    gateway = Gateway()
    denying = gateway.rule(denied_tools=("act*",))
    outcome = await gateway.execute(ACTS)
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.retryable) == ("tool_denied", False)
    assert gateway.upstream.calls == []
    said = await asked(gateway, outcome.id)
    ids = [str(denying.id)]
    assert said["policy"] == {"configs": ids, "decision": "denied", "why": "denied_tools", "config_id": ids[0]}
    allowed = await gateway.execute(READS)
    assert allowed.failure is None
    assert (await asked(gateway, allowed.id))["policy"] == {"configs": ids, "decision": "allowed"}


async def test_a_denied_tool_does_not_even_start_its_server() -> None:
    gateway = Gateway()
    gateway.rule(enabled=False)
    gateway.upstream.start_failure = AssertionError("started")
    result = await gateway.do(READS)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("tool_denied", False)


async def test_a_call_under_a_profile_stays_within_it() -> None:
    gateway = Gateway()
    outside = await gateway.execute(READS, profile="support")
    assert outside.failure is not None
    assert outside.failure.code == "tool_denied"
    assert (await asked(gateway, outside.id))["profile"] == "support"
    gateway.rule(profile="support")
    assert (await gateway.execute(READS, profile="support")).failure is None


async def test_rules_that_cannot_be_known_allow_nothing() -> None:
    gateway = Gateway()

    async def away(_: object) -> Any:
        raise Unavailable("The database does not answer now.")

    gateway.of_tenant = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await gateway.execute(READS)
    result = await gateway.do(ACTS)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("unavailable", True)
    assert gateway.upstream.calls == []


async def test_a_rate_refuses_before_the_server_hears_and_keeps_no_arguments() -> None:
    gateway = Gateway()
    gateway.rule(rate_limit_per_minute=2)
    for _ in range(2):
        assert (await gateway.execute(READS)).failure is None
    refused = await gateway.execute(READS, arguments={"a": "x" * 1_000})
    assert refused.failure is not None
    assert (refused.failure.code, refused.failure.retryable) == ("rate_limited", True)
    assert refused.failure.details["retry_after"] == pytest.approx(30, abs=5)
    assert len(gateway.upstream.calls) == 2
    assert (await asked(gateway, refused.id))["arguments"] == {}


async def test_what_is_denied_costs_no_rate_and_what_is_not_there_does() -> None:
    gateway = Gateway()
    gateway.rule(rate_limit_per_minute=2, denied_tools=(ACTS,))
    for _ in range(5):
        await gateway.execute(ACTS)
    codes = [(await gateway.execute("none")).failure for _ in range(3)]
    assert [failure.code for failure in codes if failure] == ["tool_not_found", "tool_not_found", "rate_limited"]


@pytest.mark.parametrize("error", [ServerDied("It ended."), ServerUnavailable("Not there.")])
async def test_a_tool_that_may_be_repeated_is_called_again(error: PlatformError) -> None:
    gateway = Gateway()
    gateway.rule(max_retries=3)
    answers: list[dict[str, Any] | Exception] = [error, error, {"done": True}]

    def answer() -> dict[str, Any]:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    gateway.upstream.answer = answer
    outcome = await gateway.execute(READS)
    assert (outcome.result, outcome.attempts) == ({"done": True}, 3)
    assert (await ended(gateway, outcome.id))["attempts"] == 3
    assert await gateway.types(outcome.id) == ["requested.v1", "completed.v1"]
    assert gateway.observed == [("ok", 3)]


@pytest.mark.parametrize(
    ("tool", "retries", "error", "calls"),
    [
        (READS, 2, ServerDied("…"), 3),
        (READS, 0, ServerDied("…"), 1),
        (READS, None, ServerDied("…"), 1),
        (READS, 5, ToolError("…"), 1),
        (READS, 5, KeyError("a bug"), 1),
        (ACTS, 5, ServerDied("…"), 1),
        (ACTS, 5, ServerUnavailable("…"), 1),
        (ACTS, 5, ToolTimeout("…"), 1),
    ],
)
async def test_how_often_a_call_is_made(tool: str, retries: int | None, error: Exception, calls: int) -> None:
    gateway = Gateway()
    gateway.rule(max_retries=retries)
    gateway.upstream.fails(error)
    outcome = await gateway.execute(tool)
    assert outcome.failure is not None
    assert len(gateway.upstream.calls) == outcome.attempts == calls


async def test_all_attempts_share_the_time_of_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.domain.retry.RETRY_SECONDS", 0.1)
    gateway = Gateway()
    gateway.rule(max_retries=5, timeout_seconds=0.5)
    gateway.upstream.fails(ServerDied("…"))
    outcome = await gateway.execute(READS)
    assert outcome.duration_ms < 2_000
    assert 1 < outcome.attempts < 6
    assert gateway.upstream.calls == sorted(gateway.upstream.calls, reverse=True)
    gateway.upstream.fails(ServerUnavailable("…", retry_after=60))
    assert (await gateway.execute(READS)).attempts == 1, "it would be over before it may be asked again"


async def test_a_call_that_is_made_again_counts_again() -> None:
    gateway = Gateway()
    gateway.rule(max_retries=5, rate_limit_per_minute=3)
    gateway.upstream.fails(ServerDied("…"))
    outcome = await gateway.execute(READS)
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.attempts) == ("server_died", 3)


@pytest.mark.parametrize(
    ("own", "overridden", "config", "expected"),
    [(50, None, None, 50), (50, None, 7, 7), (5, None, 7, 5), (5, 9, None, 9), (5, 9, 7, 7), (None, None, 90, 90)],
)
async def test_the_shortest_time_holds_and_an_override_replaces_the_servers(
    own: float | None, overridden: float | None, config: float | None, expected: float
) -> None:
    gateway = Gateway(ServerConfig(timeout_seconds=own))
    gateway.rule(timeout_seconds=config, config_overrides=ServerConfig(timeout_seconds=overridden))
    await gateway.execute(READS)
    assert gateway.upstream.calls == [expected]


async def test_overrides_of_an_agent_reach_the_server_in_its_calls_alone() -> None:
    gateway = Gateway()
    agent = uuid4()
    gateway.rule(agent_id=agent, env_overrides={"A": "agents"})
    await gateway.execute(READS, agent_id=agent)
    await gateway.execute(READS, agent_id=uuid4())
    theirs, others = gateway.upstream.servers
    assert (theirs.definition.env_vars, theirs.identity != "") == ({"A": "agents"}, True)
    assert others is gateway.server
