"""Cron expressions in a time zone: when the next moment is, and which moments lie in a stretch of time.

Five fields, as Debian's cron reads them, also where clocks change: what has a fixed hour and minute runs once, in a gap
at its end and in an overlap the first time; what runs by a `*` in hour or minute follows the clock, so that in an
overlap it runs in both hours.
"""

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache

from cronsim import CronSim, CronSimError

from services.workflow.limits import MAX_CACHED_TIMEZONES

_FIELDS = (
    "minute (0-59)",
    "hour (0-23)",
    "day of month (1-31)",
    "month (1-12 or JAN-DEC)",
    "day of week (0-7 or SUN-SAT)",
)
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_NAMES_OF_CRONSIM = {
    name: place for place, name in enumerate(("minute", "hour", "day-of-month", "month", "day-of-week"))
}
_NO_ZONES = frozenset({"localtime", "Factory"})  # what they mean depends on the machine
# Where the latest moments of a stretch are looked for, back from its end: only as far as there are none.
_LOOKING_BACK = tuple(dt.timedelta(minutes=15 * 4**power) for power in range(12))


class CronInvalid(ValueError):
    """An expression is none, or never comes; the text says what would be right."""


class TimezoneInvalid(ValueError):
    """A time zone is unknown; the text names a near one."""


class Cron:
    """A compiled expression. Times given must be aware; times returned are UTC."""

    def __init__(self, expression: str, timezone: str) -> None:
        """Raise `CronInvalid` or `TimezoneInvalid`."""
        self._zone = zone_of(timezone)
        self._expression = expression
        fields = expression.split()
        if expression.startswith("@"):
            raise CronInvalid(_about_nickname(expression))
        if len(fields) == len(_FIELDS) + 1:
            raise CronInvalid(
                "six fields: seconds are not supported; leave out the first field, such as 0 9 * * MON-FRI"
            )
        if len(fields) != len(_FIELDS):
            raise CronInvalid(f"five fields are expected, such as 0 9 * * MON-FRI, and there are {len(fields)}")
        try:
            CronSim(expression, _EPOCH)
        except (CronSimError, ValueError) as error:
            raise CronInvalid(_about_field(str(error), fields)) from error

    def after(self, moment: dt.datetime) -> dt.datetime | None:
        """Return the first moment after `moment`, or None if there is none in the next 50 years."""
        return next(self._following(moment), None)

    def latest(self, first: dt.datetime, upto: dt.datetime, most: int) -> tuple[list[dt.datetime], bool]:
        """Return the last moments, at most `most`, from `first` to `upto` (both included), and whether there are more.

        What it costs grows with `most`, not with the stretch.
        """
        before = first - dt.timedelta(seconds=1)
        for back in _LOOKING_BACK:
            start = max(before, upto - back)
            found = self._within(start, upto, most + 1)
            if len(found) > most or start == before:
                break
        return found[-most:], len(found) > most

    def _within(self, after: dt.datetime, upto: dt.datetime, most: int) -> list[dt.datetime]:
        found: list[dt.datetime] = []
        for moment in self._following(after):
            if moment > upto:
                break
            found.append(moment)
            if len(found) > 2 * most:
                del found[:-most]
        return found[-most:]

    def _following(self, moment: dt.datetime) -> Iterator[dt.datetime]:
        """Yield moments after `moment`, each later than the one before.

        In the second half of an overlap the library can give what was in its first half: that is passed over.
        """
        last = moment
        for found in CronSim(self._expression, moment.astimezone(self._zone)):
            candidate = found.astimezone(dt.UTC)
            if candidate > last:
                yield candidate
                last = candidate


_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


@lru_cache(maxsize=MAX_CACHED_TIMEZONES)
def zone_of(name: str) -> dt.tzinfo:
    """Return an IANA time zone. Raises `TimezoneInvalid`."""
    if name == "UTC":
        return dt.UTC
    if name not in _zones():
        near = get_close_matches(name, _zones(), n=1, cutoff=0.5) or _by_city(name)
        hint = f"did you mean {near[0]!r}?" if near else "one of the IANA database is expected, such as Europe/Berlin"
        raise TimezoneInvalid(f"there is no time zone {name!r}; {hint}")
    return zoneinfo.ZoneInfo(name)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NO_ZONES


def _by_city(name: str) -> list[str]:
    cities = {zone.rpartition("/")[2].lower(): zone for zone in _zones()}
    return [cities[city] for city in get_close_matches(name.lower().replace(" ", "_"), cities, n=1)]


def _about_nickname(expression: str) -> str:
    same = _NICKNAMES.get(expression.strip().lower())
    return f"{expression!r} is written {same!r} here" if same else "nicknames such as @reboot are not supported"


def _about_field(message: str, fields: list[str]) -> str:
    place = _NAMES_OF_CRONSIM.get(message.removeprefix("Bad "))
    if place is None:
        return f"no cron expression: {message}"
    return f"{fields[place]!r} is no {_FIELDS[place]}: a number, *, a range 1-5, a list 1,3 or a step */15 is expected"
