"""The path of a call: what is on disk when, what its caller hears, and who may call again."""

import time
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.mcp_gateway.app.recording import ended, requested, unit
from services.mcp_gateway.domain.call import CallFailure, CallOutcome, CallRequest
from services.mcp_gateway.domain.server import ServerConfig
from services.mcp_gateway.errors import (
    ProtocolViolation,
    ServerBusy,
    ServerDied,
    ServerUnavailable,
    ToolInterrupted,
    ToolTimeout,
)
from services.mcp_gateway.limits import TASK_RESULT_MAX_BYTES
from services.workflow.limits import MAX_STEP_RESULT_BYTES
from shared.bus.tasks import task_id_of
from shared.errors import PlatformError, Unavailable
from shared.ids import derived_id
from tests.unit.gateway.call_path import ACTS, NOW, READS, SCOPE, Gateway, listed


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.adapters.records.RECORD_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("services.mcp_gateway.adapters.records.RECORD_READ_SECONDS", 0.1)


WHOLE = ["requested.v1", "completed.v1"]


async def test_a_tool_that_acted_during_a_short_outage_is_heard_of_when_that_is_on_disk() -> None:
    gateway = Gateway()

    def answer() -> dict[str, Any]:
        gateway.log.outages = 3
        return {"done": True}

    gateway.upstream.answer = answer
    outcome = await gateway.execute(ACTS)
    assert (outcome.result, outcome.position) == ({"done": True}, 2)
    assert gateway.log.outages == 0
    assert await gateway.types(outcome.id) == WHOLE
    assert len(gateway.upstream.calls) == 1


async def test_a_tool_that_acted_during_a_long_outage_is_heard_of_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.app.calls.RECORD_WAIT_SECONDS", 0.1)
    gateway = Gateway()

    def answer() -> dict[str, Any]:
        gateway.log.away = True
        return {"done": True}

    gateway.upstream.answer = answer
    outcome = await gateway.execute(ACTS)
    assert (outcome.result, outcome.position) == ({"done": True}, None)
    result = await gateway.do(READS)
    assert result.status == "ok", "what may be repeated is recorded later as ever"
    assert gateway.records.pending == 2
    assert await gateway.types(outcome.id) == WHOLE
    await gateway.records.close()


async def test_a_task_hears_of_its_end_within_its_time() -> None:
    gateway = Gateway()

    def answer() -> dict[str, Any]:
        gateway.log.away = True
        return {"done": True}

    gateway.upstream.answer = answer
    began = time.monotonic()
    assert (await gateway.do(ACTS, seconds=0.4)).status == "ok"
    assert time.monotonic() - began < 0.4


async def test_an_outage_before_the_call_calls_nothing() -> None:
    gateway = Gateway()
    gateway.log.away = True
    result = await gateway.do(ACTS)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("unavailable", True)
    assert gateway.upstream.calls == []
    with pytest.raises(Unavailable):
        await gateway.execute(ACTS)


@pytest.mark.parametrize(
    ("error", "open_end"),
    [
        (ToolTimeout("No answer."), True),
        (ServerDied("It ended."), True),
        (ProtocolViolation("Garbage."), True),
        (ToolInterrupted("Cut off."), True),
        (ServerBusy("Busy."), False),
        (ServerUnavailable("Cannot be started."), False),
    ],
)
async def test_who_may_call_again_by_itself(error: PlatformError, *, open_end: bool) -> None:
    gateway = Gateway()
    gateway.upstream.fails(error)
    acted, read = await gateway.do(ACTS), await gateway.do(READS)
    assert acted.error is not None
    assert read.error is not None
    assert acted.error.retryable is not open_end
    assert ("retry_on" in acted.error.message) is open_end
    assert read.error.message == error.message
    assert read.error.retryable is not isinstance(error, ProtocolViolation | ToolInterrupted)


async def test_a_bug_during_a_call_does_not_repeat_it() -> None:
    gateway = Gateway()
    gateway.upstream.fails(KeyError("a bug"))
    result = await gateway.do(ACTS)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("tool_interrupted", False)


async def test_a_server_that_cannot_be_started_may_be_tried_again_and_its_key_too() -> None:
    gateway = Gateway()
    gateway.upstream.start_failure = ServerUnavailable("Not now.")
    result = await gateway.do(ACTS)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("server_unavailable", True)
    key = uuid4()
    refused = await gateway.execute(ACTS, id=key)
    assert refused.failure is not None
    assert refused.id != key
    assert await gateway.types(refused.id) == ["requested.v1", "failed.v1"]
    gateway.upstream.start_failure = None
    assert (await gateway.execute(ACTS, id=key)).result == {"done": True}


async def test_a_task_that_was_begun_by_a_gateway_that_died_is_not_refused_as_new() -> None:
    gateway = Gateway()
    execution = uuid4()
    id_ = derived_id("tool-call", task_id_of(execution, "step", 1))
    request = CallRequest(id_, "s", ACTS, {}, task_id="t")
    begun = requested(request, gateway.server, "hash", NOW)
    await gateway.records.write(unit(SCOPE, request, gateway.server.id, NOW, [(1, begun)], None))
    gateway.upstream.start_failure = ServerUnavailable("Not now.")
    for _ in range(2):
        result = await gateway.do(ACTS, execution=execution)
        assert result.error is not None
        assert (result.error.code, result.error.retryable) == ("tool_interrupted", False)
        assert "retry_on" in result.error.message
    assert await gateway.types(id_) == ["requested.v1", "failed.v1"]
    assert gateway.upstream.calls == []


async def test_a_task_that_comes_twice_is_answered_from_its_events_even_if_they_cannot_be_read() -> None:
    gateway = Gateway()
    execution = uuid4()
    first = await gateway.do(ACTS, execution=execution)
    assert await gateway.do(ACTS, execution=execution) == first
    assert len(gateway.upstream.calls) == 1

    async def write(*_: Any) -> int:
        gateway.log.away = True
        return await real(*_)

    real = gateway.log.append
    gateway.log.append = write  # type: ignore[method-assign]
    result = await gateway.do(ACTS, execution=execution, seconds=1)
    assert result.error is not None
    assert result.error.retryable is False
    assert len(gateway.upstream.calls) == 1


@pytest.mark.parametrize(
    ("own", "asked", "left", "expected"),
    [
        (None, None, None, 30),
        (None, 5, None, 5),
        (7, None, None, 7),
        (7, 50, None, 7),
        (7, None, 100, 7),
        (700, 600, 100, 100),
        (None, None, 100, 100),
        (None, 5, 100, 5),
        (90_000, None, None, 3_600),
    ],
)
async def test_the_shortest_time_holds(
    own: float | None, asked: float | None, left: float | None, expected: float
) -> None:
    gateway = Gateway(ServerConfig(timeout_seconds=own))
    await gateway.execute(READS, timeout_seconds=asked, deadline=None if left is None else time.time() + left)
    assert gateway.upstream.calls == [pytest.approx(expected, abs=0.1)]


async def test_a_task_keeps_the_servers_own_time_and_ends_before_the_engines() -> None:
    gateway = Gateway(ServerConfig(timeout_seconds=3))
    await gateway.do(READS, seconds=60)
    await gateway.do(READS, seconds=2)
    first, second = gateway.upstream.calls
    assert first == 3
    assert 1.5 < second < 1.9


async def test_a_server_that_starts_for_too_long_is_not_called_any_more() -> None:
    gateway = Gateway()
    gateway.upstream.starting = 60
    began = time.monotonic()
    result = await gateway.do(ACTS, seconds=0.1)
    assert time.monotonic() - began < 5
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("tool_timeout", True)
    assert "nothing was called" in result.error.message
    assert gateway.upstream.calls == []


async def test_a_result_that_the_engine_does_not_take_fails_its_task() -> None:
    assert TASK_RESULT_MAX_BYTES == MAX_STEP_RESULT_BYTES
    gateway = Gateway()
    fitting = "x" * (TASK_RESULT_MAX_BYTES - len(b'{"text":""}'))
    gateway.upstream.answer = lambda: {"text": fitting}
    assert (await gateway.do(ACTS)).status == "ok"
    gateway.upstream.answer = lambda: {"text": fitting + "x"}
    execution = uuid4()
    result = await gateway.do(ACTS, execution=execution)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("result_too_large", False)
    assert await gateway.types(derived_id("tool-call", task_id_of(execution, "step", 1))) == [
        "requested.v1",
        "failed.v1",
    ]
    assert (await gateway.execute(ACTS)).failure is None, "whoever asks by HTTP takes more"


async def test_a_second_attempt_names_the_first() -> None:
    gateway = Gateway()
    execution = uuid4()
    ids = [derived_id("tool-call", task_id_of(execution, "step", attempt)) for attempt in (1, 2, 3)]
    for attempt in (1, 2, 3):
        await gateway.do(ACTS, execution=execution, attempt=attempt)
    streams = await gateway.log.read_streams(ids)
    parents = [msgspec.json.decode(streams[call][0].data).get("parent_id") for call in ids]
    assert parents == [None, str(ids[0]), str(ids[0])]


async def test_an_end_that_somebody_else_recorded_first_is_the_end() -> None:
    gateway = Gateway()
    request = CallRequest(uuid4(), "s", ACTS, {})

    def answer() -> dict[str, Any]:
        interrupted = CallFailure("tool_interrupted", "…")
        outcome = CallOutcome(request.id, gateway.server.id, ACTS, NOW, NOW, 1.0, failure=interrupted)
        gateway.records.write_later(unit(SCOPE, request, gateway.server.id, NOW, [(2, ended(outcome))], outcome))
        return {"done": True}

    gateway.upstream.answer = answer
    outcome = await gateway.calls.execute(SCOPE, request)
    assert outcome.failure is not None
    assert outcome.failure.code == ToolInterrupted.code


async def test_arguments_that_are_too_many_are_not_recorded_either() -> None:
    gateway = Gateway()
    for arguments in ({"a": "x" * 1_100_000}, {"a": [[[]]] * 500_000}, _deep()):
        outcome = await gateway.execute(ACTS, arguments=arguments)
        assert outcome.failure is not None
        assert outcome.failure.code == "arguments_invalid"
        assert await gateway.types(outcome.id) == ["requested.v1", "failed.v1"]
        asked = (await gateway.log.read_streams([outcome.id]))[outcome.id][0]
        assert msgspec.json.decode(asked.data)["arguments"] == {}
    assert gateway.upstream.calls == []


def _deep() -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(2_000):
        value = {"a": value}
    return value


async def test_a_tool_says_which_scope_it_needs() -> None:
    gateway = Gateway()
    gateway.upstream.describes(msgspec.structs.replace(listed(ACTS), needs="workflows:execute"))
    refused = await gateway.execute(ACTS, frozenset({"mcp:execute"}))
    assert refused.failure is not None
    assert (refused.failure.code, gateway.upstream.calls) == ("forbidden", [])
    assert (await gateway.execute(ACTS, frozenset({"workflows:execute"}))).failure is None
    await gateway.records.close()


@pytest.mark.parametrize(("resumes", "code", "calls"), [(False, "tool_interrupted", 0), (True, None, 1)])
async def test_only_what_resumes_is_called_again_after_an_interruption(
    *, resumes: bool, code: str | None, calls: int
) -> None:
    gateway, call_id = Gateway(), uuid4()
    gateway.upstream.describes(msgspec.structs.replace(listed(ACTS), resumes=resumes))
    request = CallRequest(call_id, "s", ACTS, {})
    begun = requested(request, gateway.server, "hash", NOW)
    await gateway.records.write(unit(SCOPE, request, gateway.server.id, NOW, [(1, begun)], None))
    outcome = await gateway.execute(ACTS, id=call_id)
    assert (outcome.failure.code if outcome.failure else None, len(gateway.upstream.calls)) == (code, calls)
    again = await gateway.execute(ACTS, id=call_id)
    assert (again.failure, again.result) == (outcome.failure, outcome.result)
    assert len(gateway.upstream.calls) == calls, "an end that is on record is the answer"
    await gateway.records.close()


async def test_a_server_of_the_platform_hears_who_calls_and_under_which_id() -> None:
    gateway = Gateway()
    outcome = await gateway.execute(ACTS)
    [caller] = gateway.upstream.callers
    assert caller is not None
    assert (caller.actor, caller.call_id) == (SCOPE.actor, outcome.id)
    await gateway.records.close()
