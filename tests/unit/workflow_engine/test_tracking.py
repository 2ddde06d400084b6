"""Which tasks are taken for lost, and which executions are woken for a deadline."""

from services.workflow.app.tracking import Tracking
from services.workflow.limits import TASK_GRACE_MS, TASK_LEASE_MS
from tests.unit.workflow_engine.scenario import BEGIN, EXECUTION, Scenario, foreach, program_of, tool

DAY_MS = 24 * 3600 * 1000


def follow(tracking: Tracking, scenario: Scenario, now: int) -> Scenario:
    tracking.follow(scenario.state, scenario.new, now)
    return scenario


def retried() -> tuple[Tracking, Scenario]:
    """Return a step whose first attempt failed and whose second is out since `BEGIN + 1000`."""
    policy = {"max_attempts": 2, "initial_interval_ms": 1_000, "jitter": 0}
    tracking = Tracking()
    scenario = follow(tracking, Scenario(program_of([tool("a", retry=policy)])), BEGIN)
    follow(tracking, scenario.failed("a"), BEGIN)
    follow(tracking, scenario.at(1_000).wake(), BEGIN + 1_000)
    return tracking, scenario


def test_a_heartbeat_of_an_earlier_attempt_keeps_no_lease_of_a_later_one() -> None:
    tracking, _ = retried()
    over = BEGIN + 1_000 + TASK_LEASE_MS + 1
    tracking.heard(EXECUTION, "a", 1, over)
    assert list(tracking.overdue(over)) == [(EXECUTION, ["a"])]
    tracking.heard(EXECUTION, "a", 2, over)
    assert list(tracking.overdue(over)) == []


def test_an_attempt_that_another_process_began_has_a_lease_of_its_own() -> None:
    """What was heard of the first attempt, even that it need not be asked for a day, says nothing of the second."""
    tracking = Tracking()
    policy = {"max_attempts": 2, "initial_interval_ms": 1_000, "jitter": 0}
    scenario = follow(tracking, Scenario(program_of([tool("a", retry=policy)])), BEGIN)
    tracking.heard(EXECUTION, "a", 1, BEGIN + DAY_MS)
    scenario.failed("a").at(1_000).wake()
    tracking.hold_against(scenario.state, BEGIN + 1_000)
    assert tracking.open[EXECUTION].tasks["a"].heard_at == BEGIN + 1_000


def test_a_task_that_is_sent_again_has_a_new_lease() -> None:
    tracking = Tracking()
    follow(tracking, Scenario(program_of([tool("a")])), BEGIN)
    over = BEGIN + TASK_LEASE_MS + 1
    assert list(tracking.overdue(over)) == [(EXECUTION, ["a"])]
    tracking.sent_again(EXECUTION, ["a"], over)
    assert list(tracking.overdue(over)) == []


def test_no_deadline_of_a_task_wakes_an_execution_while_it_is_paused() -> None:
    tracking = Tracking()
    scenario = follow(tracking, Scenario(program_of([tool("a", timeout_seconds=10)])), BEGIN)
    late = BEGIN + 10_000 + TASK_GRACE_MS
    tracking.heard(EXECUTION, "a", 1, late)
    assert list(tracking.overdue(late)) == [(EXECUTION, [])]
    follow(tracking, scenario.at(5_000).pause(), BEGIN + 5_000)
    assert list(tracking.overdue(late)) == []
    follow(tracking, scenario.at(20_000).resume(), BEGIN + 20_000)
    assert list(tracking.overdue(late)) == []
    tracking.heard(EXECUTION, "a", 1, late + 15_000)
    assert list(tracking.overdue(late + 15_000)) == [(EXECUTION, [])]


def test_a_paused_execution_asks_for_no_task_again_before_it_is_resumed() -> None:
    tracking = Tracking()
    scenario = follow(tracking, Scenario(program_of([tool("a")])), BEGIN)
    follow(tracking, scenario.pause(), BEGIN)
    over = BEGIN + TASK_LEASE_MS + 1
    assert list(tracking.overdue(over)) == []
    follow(tracking, scenario.resume(), BEGIN)
    assert list(tracking.overdue(over)) == [(EXECUTION, ["a"])]


def test_what_ended_and_was_retried_at_once_is_followed() -> None:
    tracking = Tracking()
    scenario = follow(tracking, Scenario(program_of([tool("a")])), BEGIN)
    ended = scenario.failed("a", retryable=False).new
    retried_ = scenario.retry().new
    tracking.follow(scenario.state, ended + retried_, BEGIN)
    assert tracking.open[EXECUTION].tasks["a"].attempt == 2


def test_a_foreach_that_was_left_for_another_decision_is_woken_by_who_takes_it_up() -> None:
    tracking = Tracking()
    scenario = Scenario(program_of([foreach("each", [1], tool("a"))]))
    tracking.adopt(scenario.state, {})
    assert tracking.pop_due(BEGIN) == {EXECUTION}
