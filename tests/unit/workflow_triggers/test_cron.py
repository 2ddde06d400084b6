"""Moments of cron expressions, above all where clocks change: Berlin's go forward on 2026-03-29, back on 2026-10-25."""

import datetime as dt
from contextlib import suppress
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.workflow.domain.language.cron import Cron, CronInvalid, TimezoneInvalid, zone_of


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def moments(expression: str, timezone: str, after: str, upto: str) -> list[str]:
    cron, found = Cron(expression, timezone), []
    moment = cron.after(at(after))
    while moment is not None and moment <= at(upto):
        found.append(moment.strftime("%m-%d %H:%M"))
        moment = cron.after(moment)
    return found


def test_a_zone_has_the_hour_of_its_season() -> None:
    weekdays = moments("0 9 * * MON-FRI", "Europe/Berlin", "2026-03-26T12:00:00Z", "2026-03-31T12:00:00Z")
    assert weekdays == ["03-27 08:00", "03-30 07:00", "03-31 07:00"]


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "upto", "expected"),
    [
        # A gap: what has a fixed time runs at its end, once.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", ["03-29 01:00", "03-30 00:30"]),
        ("15,45 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z", ["03-29 01:00"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z", ["03-29 01:00"]),
        # What follows the clock passes over the gap.
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z",
         ["03-29 00:30", "03-29 01:00", "03-29 01:30"]),
        # An overlap: what has a fixed time runs in its first half only.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", ["10-25 00:30", "10-26 01:30"]),
        # Also if one looks from its second half, in which 02:30 is still to come.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-26T12:00:00Z", ["10-26 01:30"]),
        # What follows the clock runs in both.
        ("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", ["10-25 00:30", "10-25 01:30"]),
        # Half an hour, and the other half of the world.
        ("0 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", "2026-10-04T20:00:00Z",
         ["10-03 15:30", "10-04 15:00"]),
        # A zone without such days.
        ("30 2 * * *", "UTC", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", ["03-29 02:30", "03-30 02:30"]),
        # A day that is left out altogether: Samoa went from the 29th to the 31st. It runs when that is over.
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-28T00:00:00Z", "2011-12-31T12:00:00Z", ["12-30 10:00"]),
        ("0 0 L * *", "UTC", "2026-02-01T00:00:00Z", "2026-04-01T00:00:00Z", ["02-28 00:00", "03-31 00:00"]),
        ("0 0 * * MON#2", "UTC", "2026-02-01T00:00:00Z", "2026-03-31T00:00:00Z", ["02-09 00:00", "03-09 00:00"]),
        ("0 0 13 * FRI", "UTC", "2026-03-01T00:00:00Z", "2026-03-14T00:00:00Z", ["03-06 00:00", "03-13 00:00"]),
    ],
)  # fmt: skip
def test_moments(expression: str, timezone: str, after: str, upto: str, expected: list[str]) -> None:
    assert moments(expression, timezone, after, upto) == expected


def test_a_moment_is_after_what_is_asked_from() -> None:
    cron = Cron("* * * * *", "UTC")
    assert cron.after(at("2026-01-01T00:00:00Z")) == at("2026-01-01T00:01:00Z")
    assert cron.after(at("2026-01-01T00:00:59.999999Z")) == at("2026-01-01T00:01:00Z")


EXPRESSIONS = [
    "* * * * *",
    "*/7 * * * *",
    "30 2 * * *",
    "15,45 1-3 * * *",
    "0 */2 * * *",
    "0 9 * * MON-FRI",
    "5 4 1 * *",
]
AROUND = st.sampled_from(["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-07-01T00:00:00Z"])


@given(
    st.sampled_from(EXPRESSIONS),
    AROUND,
    st.integers(-180, 180),
    st.integers(0, 60 * 24 * 4),
    st.sampled_from([1, 3, 10]),
)
def test_the_latest_of_a_stretch_are_its_last(expression: str, around: str, begin: int, length: int, most: int) -> None:
    cron = Cron(expression, "Europe/Berlin")
    first = at(around) + dt.timedelta(minutes=begin)
    upto = first + dt.timedelta(minutes=length, seconds=17)
    every = list(takewhile(lambda moment: moment <= upto, cron._following(first - dt.timedelta(seconds=1))))
    assert every == sorted(set(every))
    assert cron.latest(first, upto, most) == (every[-most:], len(every) > most)


def test_the_latest_of_years_cost_no_more_than_those_of_hours() -> None:
    first, upto = at("1990-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z")
    found, more = Cron("* * * * *", "Europe/Berlin").latest(first, upto, 2)
    assert (found, more) == ([at("2025-12-31T23:59:00Z"), at("2026-01-01T00:00:00Z")], True)


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("0 0 9 * * MON", "seconds are not supported"),
        ("0 9 * *", "five fields are expected"),
        ("", "five fields are expected"),
        ("60 9 * * *", "'60' is no minute (0-59)"),
        ("0 25 * * *", "'25' is no hour (0-23)"),
        ("0 9 32 * *", "'32' is no day of month"),
        ("0 9 * 13 *", "'13' is no month"),
        ("0 9 * * MOO", "'MOO' is no day of week"),
        ("0 9 * * FRI-MON", "'FRI-MON' is no day of week"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("0 0 30 2 *", "'30' is no day of month"),
        ("@daily", "'@daily' is written '0 0 * * *' here"),
        ("@reboot", "@reboot are not supported"),
        ("every day at nine", "five fields are expected"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said(expression: str, hint: str) -> None:
    with pytest.raises(CronInvalid) as caught:
        Cron(expression, "UTC")
    assert hint in str(caught.value)


@given(st.text(st.sampled_from("0123456789*/-,#LW MONFRIJAN?@²\x00"), max_size=40))
def test_an_expression_is_compiled_or_refused(text: str) -> None:
    with suppress(CronInvalid):
        Cron(text, "Europe/Berlin")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("europe/berlin", "did you mean 'Europe/Berlin'?"),
        ("New York", "did you mean 'America/New_York'?"),
        ("Mars/Olympus_Mons_and_more", "such as Europe/Berlin"),
        ("../../etc/passwd", "there is no time zone"),
        ("/etc/localtime", "there is no time zone"),
        ("localtime", "there is no time zone"),
        ("Europe", "there is no time zone"),
        ("UTC\x00", "there is no time zone"),
    ],
)
def test_an_unknown_zone_is_refused_with_a_near_one(name: str, hint: str) -> None:
    with pytest.raises(TimezoneInvalid) as caught:
        zone_of(name)
    assert hint in str(caught.value)
