"""Shows a verdict: a line per scenario, and under it each check that failed with the reason, if it is known."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.conformance.verdict import Check, Verdict

MESSAGE_MAX_CHARS = 300


def show(console: Console, verdict: Verdict) -> None:
    table = Table("", "scenario", "passed", "failed", title=verdict.leg, title_justify="left")
    for scenario in verdict.scenarios:
        mark = "[red]✗[/]" if scenario.unexpected else "[yellow]~[/]" if scenario.known else "[green]✓[/]"
        outcome = scenario.outcome
        table.add_row(mark, outcome.scenario, str(outcome.passed), str(len(outcome.failures) or ""))
    console.print(table)
    for scenario in verdict.scenarios:
        for check, reason in scenario.known:
            console.print(
                f"  [yellow]known[/]      {_line(scenario.outcome.scenario, check)}\n             {escape(reason)}"
            )
        for check in scenario.unexpected:
            console.print(f"  [red]unexpected[/] {_line(scenario.outcome.scenario, check)}")
    for rule in verdict.stale:
        console.print(f"  [red]passes now[/] {escape(rule.scenario)} / {escape(rule.check)}: take it out of known.yaml")
    passed = sum(scenario.outcome.passed for scenario in verdict.scenarios)
    failed = sum(len(scenario.outcome.failures) for scenario in verdict.scenarios)
    console.print(f"{verdict.leg}: {passed} of {passed + failed} checks\n")


def _line(scenario: str, check: Check) -> str:
    return escape(f"{scenario} / {check.id} ({check.status.lower()}): {check.message[:MESSAGE_MAX_CHARS]}")
