from pathlib import Path

import msgspec
import pytest

from tests.conformance.verdict import Check, Known, Outcome, judge, read_known

KNOWN_FILE = Path(__file__).parents[2] / "conformance" / "known.yaml"
TASKS = Known(leg="gateway*", scenario="tasks-*", reason="Not offered.")


def outcome(scenario: str, *statuses: str) -> Outcome:
    return Outcome(scenario, [Check(f"check-{number}", status, "") for number, status in enumerate(statuses)])


def test_a_failure_without_a_reason_is_unexpected() -> None:
    verdict = judge("gateway", [outcome("ping", "SUCCESS", "FAILURE")], [TASKS])
    assert not verdict.good
    assert [check.id for check in verdict.scenarios[0].unexpected] == ["check-1"]


def test_a_warning_is_a_failure_too() -> None:
    assert not judge("gateway", [outcome("ping", "WARNING")], []).good


def test_what_does_not_apply_is_no_failure() -> None:
    assert judge("gateway", [outcome("ping", "SKIPPED", "INFO", "SUCCESS")], []).good


def test_a_known_failure_is_shown_with_its_reason() -> None:
    verdict = judge("gateway over http", [outcome("tasks-lifecycle", "FAILURE")], [TASKS])
    assert verdict.good
    assert [reason for _, reason in verdict.scenarios[0].known] == ["Not offered."]


def test_the_reason_of_one_check_is_not_the_reason_of_another() -> None:
    known = Known(leg="*", scenario="ping", check="check-0", reason="So it is.")
    verdict = judge("gateway", [outcome("ping", "FAILURE", "FAILURE")], [known])
    assert [check.id for check in verdict.scenarios[0].unexpected] == ["check-1"]


def test_what_is_known_to_fail_and_passes_is_to_be_taken_out() -> None:
    verdict = judge("gateway", [outcome("tasks-lifecycle", "SUCCESS")], [TASKS])
    assert verdict.stale == [TASKS]
    assert not verdict.good


def test_what_is_known_of_other_legs_and_scenarios_is_not_asked_for() -> None:
    assert judge("client", [outcome("tasks-lifecycle", "SUCCESS")], [TASKS]).good
    assert judge("gateway", [outcome("ping", "SUCCESS")], [TASKS]).good


def test_the_list_of_known_failures_can_be_read() -> None:
    for known in read_known(KNOWN_FILE):
        assert known.reason.endswith(".")


def test_an_entry_that_says_something_unknown_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "known.yaml"
    file.write_text("[{leg: a, scenario: b, reason: c, cheque: d}]")
    with pytest.raises(msgspec.ValidationError):
        read_known(file)
