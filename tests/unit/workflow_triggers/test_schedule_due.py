"""What is to be done of a schedule that is due, by what its trigger says of missed moments."""

import datetime as dt
from typing import Any

import pytest

from services.workflow.domain.language.definition import EventTrigger, ScheduleTrigger
from services.workflow.domain.schedules import ScheduleKey, due, keyed, scope_of
from services.workflow.limits import MAX_MISSED_RUNS

NINE = dt.datetime(2026, 1, 5, 9, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)


def daily(**fields: Any) -> ScheduleTrigger:
    return ScheduleTrigger(cron="0 9 * * *", **fields)


@pytest.mark.parametrize("missed", ["skip", "one", "all"])
@pytest.mark.parametrize("late", [0, 1, 59, 60])
def test_what_is_hardly_late_runs_whatever_the_policy(missed: Any, late: int) -> None:
    todo = due(daily(missed=missed), NINE, NINE + late * SECOND)
    assert (todo.moments, todo.following, todo.skipped, todo.cut) == ([NINE], NINE + DAY, False, False)


def test_skip_makes_no_run_of_what_was_missed() -> None:
    todo = due(daily(missed="skip"), NINE, NINE + 61 * SECOND)
    assert (todo.moments, todo.following, todo.skipped) == ([], NINE + DAY, True)


def test_skip_runs_the_one_that_is_on_time() -> None:
    todo = due(daily(missed="skip"), NINE, NINE + 3 * DAY + SECOND)
    assert (todo.moments, todo.following, todo.skipped) == ([NINE + 3 * DAY], NINE + 4 * DAY, True)


def test_one_makes_one_run_for_all_that_was_missed_and_it_is_the_last() -> None:
    todo = due(daily(), NINE, NINE + 3 * DAY + 3600 * SECOND)
    assert (todo.moments, todo.following) == ([NINE + 3 * DAY], NINE + 4 * DAY)
    assert not todo.cut


def test_all_makes_a_run_of_each_in_order() -> None:
    todo = due(daily(missed="all"), NINE, NINE + 3 * DAY + 3600 * SECOND)
    assert (todo.moments, todo.following) == ([NINE + n * DAY for n in range(4)], NINE + 4 * DAY)


def test_all_is_bounded_and_says_so() -> None:
    todo = due(daily(missed="all"), NINE, NINE + 1000 * DAY)
    assert len(todo.moments) == MAX_MISSED_RUNS
    assert todo.moments[-1] == NINE + 1000 * DAY
    assert todo.cut


def test_what_is_no_moment_any_more_makes_no_run() -> None:
    todo = due(daily(), NINE + SECOND, NINE + 3600 * SECOND)  # a zone whose rules changed
    assert (todo.moments, todo.following) == ([], NINE + DAY)


def test_a_schedule_is_known_by_expression_zone_and_number() -> None:
    first, second, other = daily(input=1), daily(input=2), daily(timezone="Europe/Berlin")
    found = keyed([first, EventTrigger(subject="a"), other, second])
    assert found == {
        ScheduleKey("0 9 * * *", "UTC", 0): first,
        ScheduleKey("0 9 * * *", "Europe/Berlin", 0): other,
        ScheduleKey("0 9 * * *", "UTC", 1): second,
    }


def test_templates_see_the_moment_in_utc_and_by_the_zone() -> None:
    assert scope_of(ScheduleKey("0 9 * * *", "Europe/Berlin", 0), NINE) == {
        "time": "2026-01-05T09:00:00Z",
        "local_time": "2026-01-05T10:00:00+01:00",
        "cron": "0 9 * * *",
        "timezone": "Europe/Berlin",
    }
