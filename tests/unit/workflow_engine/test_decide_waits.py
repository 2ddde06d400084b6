"""Signals, approvals and emitted events."""

from typing import Any

import pytest

from services.workflow.domain.events import EventEmitted, StepWaiting
from services.workflow.domain.language.errors import InputInvalid
from services.workflow.domain.refusals import (
    ExecutionEnded,
    ExecutionIsPaused,
    NotAssignee,
    NothingToDecide,
    TooManySignals,
)
from services.workflow.limits import MAX_SIGNALS_KEPT, MAX_TASK_PAYLOAD_BYTES
from tests.unit.workflow_engine.scenario import (
    approval,
    folded,
    foreach,
    given,
    parallel,
    plain,
    tool,
    transform,
    wait,
)


def test_a_signal_ends_the_wait_with_what_it_carries() -> None:
    run = given(wait("w"), transform("end", "{w.x}"))
    assert run.state.status == "waiting"
    run.signal(data={"x": 7})
    assert run.story[:3] == ["signal-received", "waited w signalled", "completed w"]
    assert run.output == 7


def test_a_signal_that_came_before_is_taken_at_once() -> None:
    run = given(tool("t"), wait("w"))
    assert run.signal(data="early").story == ["signal-received"]
    run.done("t")
    assert run.story == ["completed t", "waiting w", "waited w signalled", "completed w", "execution-completed"]
    assert run.output == "early"


def test_a_signal_that_comes_twice_counts_once() -> None:
    run = given(wait("a"), wait("b"))
    run.signal(data=1, id_="x")
    assert run.signal(data=1, id_="x").story == []
    run.signal(data=2, id_="y")
    assert run.output == 2


def test_signals_are_taken_in_order_one_by_each_wait() -> None:
    run = given(parallel("p", wait("a"), wait("b"), wait("c", "other")))
    run.signal(data=1, id_="1").signal(data=2, id_="2").signal("other", 3, "3")
    assert {name: run.output[name] for name in "abc"} == {"a": 1, "b": 2, "c": 3}


def test_nobody_comes() -> None:
    run = given(wait("w", timeout_seconds=5, on_timeout=[transform("late", "none")]), transform("end", "{w}"))
    assert run.at(4_999).wake().story == []
    run.at(5_000).wake()
    assert run.story == [
        "waited w timed_out",
        "completed w/late",
        "completed w",
        "completed end",
        "execution-completed",
    ]
    assert run.output == "none"


def test_nobody_comes_and_nothing_is_meant_for_it() -> None:
    run = given(wait("w", timeout_seconds=5))
    assert run.at(5_000).wake().story == ["waited w timed_out", "failed w step_timeout", "execution-failed"]


def test_a_wait_that_is_no_longer_needed() -> None:
    run = given(parallel("p", wait("w"), tool("t"), wait_for="any"))
    assert run.done("p/t").story == [
        "completed p/t", "waited p/w cancelled", "cancelled p/w", "completed p", "execution-completed",
    ]  # fmt: skip


def test_signals_are_bounded_and_for_those_that_run() -> None:
    run = given(tool("t"))
    for n in range(MAX_SIGNALS_KEPT):
        run.signal(id_=str(n))
    with pytest.raises(TooManySignals):
        run.signal(id_="more")
    run.done("t")
    with pytest.raises(ExecutionEnded):
        run.signal(id_="late")


FORM = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}


def ask(**fields: Any) -> dict[str, Any]:
    return approval("ok", title="Pay {input.n}?", assignees=["user:1", "{input.boss}"], form_schema=FORM, **fields)


def test_an_approval_asks_and_takes_a_decision() -> None:
    run = given(ask(), transform("end", "{ok.data.amount}"), input_={"n": 5, "boss": "user:2"})
    [asked] = [e for e in run.events if isinstance(e, StepWaiting)]
    assert (asked.kind, asked.name, asked.details["assignees"]) == ("approval", "Pay 5?", ["user:1", "user:2"])
    run.decide("ok", "user:2", {"amount": 3})
    assert run.story[0] == "waited ok decided"
    assert run.output == 3


def test_a_rejection_is_a_decision_without_a_form() -> None:
    run = given(ask(), input_={"n": 5, "boss": "user:2"}).decide("ok", approved=False)
    assert run.output == {
        "approved": False, "decision": "rejected", "decided_by": "user:1", "comment": "", "data": None,
    }  # fmt: skip


def test_who_is_not_asked_what_does_not_fit_and_what_is_over() -> None:
    run = given(ask(), tool("t"), input_={"n": 5, "boss": "user:2"})
    before = plain(run.state)
    with pytest.raises(NotAssignee):
        run.decide("ok", "user:3", {"amount": 1})
    with pytest.raises(InputInvalid):
        run.decide("ok", "user:1", {"amount": "much"})
    with pytest.raises(NothingToDecide):
        run.decide("t")
    run.pause()
    with pytest.raises(ExecutionIsPaused):
        run.decide("ok", "user:1", {"amount": 1})
    run.resume()
    assert plain(run.state) | {"version": 0} == before | {"version": 0}
    run.decide("ok", "user:1", {"amount": 1})
    with pytest.raises(NothingToDecide):
        run.decide("ok", "user:1", {"amount": 1})


def test_approvals_inside_iterations_are_each_their_own() -> None:
    run = given(foreach("each", [1, 2], approval("ok", title="{item}")))
    run.decide("each[1]/ok", "user:9").decide("each[0]/ok", "user:8")
    assert [r["decided_by"] for r in run.output] == ["user:8", "user:9"]


def test_an_event_is_emitted_with_its_depth() -> None:
    run = given({"type": "emit", "name": "tell", "subject": "orders.{input.id}", "input": {"n": 1}}, input_={"id": "7"})
    [event] = [e for e in run.events if isinstance(e, EventEmitted)]
    assert (event.subject, event.event_type, event.data, event.depth) == ("orders.7", "orders.7", {"n": 1}, 1)


@pytest.mark.parametrize("name", ["", "a b", "a.*", ">", "a..b", "x" * 300])
def test_a_subject_that_cannot_be_is_an_error(name: str) -> None:
    run = given({"type": "emit", "name": "tell", "subject": "{input.s}"}, input_={"s": name})
    assert run.error.code == "bad_subject"


def test_what_is_stored_folds_to_what_was_decided() -> None:
    run = given(wait("a"), ask(), input_={"n": 1, "boss": "b"}).signal("other", 1, "0").signal()
    assert plain(folded(run.events)) == plain(run.state)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"subject": "{input.text}"}, "bad_subject"),
        ({"subject": "a", "event_type": "{input.text}"}, "bad_event_type"),
        ({"subject": "a", "event_type": "{input.empty}"}, "bad_event_type"),
        ({"subject": "a", "input": ["{input.big}", "{input.big}"]}, "payload_too_large"),
    ],
)
def test_what_cannot_be_published_fails_the_step(fields: dict[str, Any], code: str) -> None:
    data = {"text": "a b\r\nce-tenantid: x", "empty": "", "big": "x" * (MAX_TASK_PAYLOAD_BYTES // 2)}
    run = given({"type": "emit", "name": "e", **fields}, input_=data)
    assert run.error.code == code
    assert not any(isinstance(event, EventEmitted) for event in run.events)


def test_what_a_holder_begins_with_is_bounded_too() -> None:
    run = given(foreach("f", ["{input.big}", "{input.big}"], tool("t")), input_={"big": "x" * MAX_TASK_PAYLOAD_BYTES})
    assert run.error.code == "payload_too_large"


def test_an_id_is_one_for_each_name() -> None:
    run = given(wait("w", "go"), tool("t"), wait("v", "stop"))
    assert run.signal("stop", 1, id_="x").story == ["signal-received"]
    assert run.signal("go", 2, id_="x").story[:2] == ["signal-received", "waited w signalled"]
    assert run.signal("go", 3, id_="x").story == []
    assert run.done("t").output == 1
    assert run.signal("go", 3, id_="x").story == []


def test_a_signal_ends_no_wait_for_another() -> None:
    run = given(parallel("p", wait("w", "go"), wait("v", "stop")))
    assert run.signal("stop", 1).story == ["signal-received", "waited p/v signalled", "completed p/v"]


def test_an_assignee_that_cannot_be_kept_fails_the_step() -> None:
    run = given(approval("ok", assignees=["user:1", "{input.boss}"]), input_={"boss": "user:\0"})
    assert run.error.code == "bad_assignees"


@pytest.mark.parametrize("step", [approval("w", title="{input}"), wait("w", "{input}")])
def test_a_name_that_cannot_be_kept_fails_the_step(step: dict[str, Any]) -> None:
    assert given(step, input_="a\0b").error.code == "bad_wait_name"


@pytest.mark.parametrize("step", [approval("w", title="{input}"), wait("w", "{input}")])
def test_a_name_that_is_no_text_is_made_one(step: dict[str, Any]) -> None:
    [asked] = [event for event in given(step, input_=5).new if isinstance(event, StepWaiting)]
    assert asked.name == "5"
