"""Weighs what the suite found against what is known: failures with a reason, which must go on failing."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import msgspec

FAILED = frozenset({"FAILURE", "WARNING"})


class Check(NamedTuple):
    """One thing that a scenario looked at. A warning is a failure of something that the protocol only recommends."""

    id: str
    status: str
    message: str


class Outcome(NamedTuple):
    scenario: str
    checks: Sequence[Check]

    @property
    def passed(self) -> int:
        return sum(check.status == "SUCCESS" for check in self.checks)

    @property
    def failures(self) -> list[Check]:
        return [check for check in self.checks if check.status in FAILED]


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A failure that has a reason. `leg`, `scenario` and `check` are patterns, as of file names."""

    leg: str
    scenario: str
    reason: str
    check: str = "*"

    def covers(self, leg: str, scenario: str, check: str) -> bool:
        return self.covers_scenario(leg, scenario) and fnmatchcase(check, self.check)

    def covers_scenario(self, leg: str, scenario: str) -> bool:
        return fnmatchcase(leg, self.leg) and fnmatchcase(scenario, self.scenario)


class Judged(NamedTuple):
    """A scenario's failures, with the reason of each that is known."""

    outcome: Outcome
    known: list[tuple[Check, str]]
    unexpected: list[Check]


class Verdict(NamedTuple):
    leg: str
    scenarios: list[Judged]
    stale: list[Known]
    """What is known to fail and does not any more."""

    @property
    def good(self) -> bool:
        return not self.stale and not any(judged.unexpected for judged in self.scenarios)


def read_known(path: Path) -> list[Known]:
    return msgspec.yaml.decode(path.read_bytes(), type=list[Known])


def judge(leg: str, outcomes: Iterable[Outcome], known: Iterable[Known]) -> Verdict:
    """Weigh one leg. Entries for scenarios that the leg does not have say nothing about it."""
    rules = list(known)
    used: set[Known] = set()
    met: set[Known] = set()
    scenarios = []
    for outcome in outcomes:
        met.update(rule for rule in rules if rule.covers_scenario(leg, outcome.scenario))
        excused, unexpected = [], []
        for check in outcome.failures:
            rule = next((rule for rule in rules if rule.covers(leg, outcome.scenario, check.id)), None)
            if rule is None:
                unexpected.append(check)
            else:
                used.add(rule)
                excused.append((check, rule.reason))
        scenarios.append(Judged(outcome, excused, unexpected))
    return Verdict(leg, scenarios, [rule for rule in rules if rule in met and rule not in used])
