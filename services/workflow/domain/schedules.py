"""What a schedule is known by, and what is to be done when it is due. Pure: the time comes in."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from services.workflow.domain.language.cron import Cron, zone_of
from services.workflow.domain.language.definition import ScheduleTrigger, Trigger
from services.workflow.limits import MAX_MISSED_RUNS, SCHEDULE_GRACE_S

_GRACE = dt.timedelta(seconds=SCHEDULE_GRACE_S)


class ScheduleKey(NamedTuple):
    """A schedule within its workflow: expression, zone, and its number among those that are alike.

    It stays when the definition is revised around it.
    """

    cron: str
    timezone: str
    nth: int


class Due(msgspec.Struct, frozen=True):
    """What is to be done of a schedule: a run for each of `moments`, then it waits for `following` (None: for ever).

    `skipped` says that there were moments for which there is no run by the trigger's policy, `cut` that there were more
    than one makes up for.
    """

    moments: list[dt.datetime]
    following: dt.datetime | None
    skipped: bool
    cut: bool


def keyed(triggers: Iterable[Trigger]) -> dict[ScheduleKey, ScheduleTrigger]:
    """Return the schedule triggers of a definition by their keys, in its order."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[ScheduleKey, ScheduleTrigger] = {}
    for trigger in triggers:
        if isinstance(trigger, ScheduleTrigger):
            pair = (trigger.cron, trigger.timezone)
            found[ScheduleKey(*pair, seen[pair])] = trigger
            seen[pair] += 1
    return found


def due(trigger: ScheduleTrigger, first: dt.datetime, now: dt.datetime) -> Due:
    """Decide on a schedule that has fired up to just before `first`, a moment that is not after `now`.

    A moment that is late by at most a minute is on time: a restart makes nothing missed.
    """
    cron = Cron(trigger.cron, trigger.timezone)
    moments, more = cron.latest(first, now, MAX_MISSED_RUNS if trigger.missed == "all" else 1)
    late = bool(moments) and moments[-1] < now - _GRACE
    if late and trigger.missed == "skip":
        return Due([], cron.after(now), skipped=True, cut=False)
    return Due(
        moments, cron.after(now), skipped=more and trigger.missed == "skip", cut=more and trigger.missed == "all"
    )


def scope_of(key: ScheduleKey, moment: dt.datetime) -> dict[str, Any]:
    """Return what templates see as `schedule`: the moment in UTC and on the zone's clocks (RFC 3339)."""
    return {
        "time": rfc3339(moment),
        "local_time": moment.astimezone(zone_of(key.timezone)).isoformat(),
        "cron": key.cron,
        "timezone": key.timezone,
    }


def rfc3339(moment: dt.datetime) -> str:
    """Return a moment in UTC, in seconds, with `Z`."""
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
