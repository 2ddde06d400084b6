"""`agentic doctor`: what is wrong on this machine, and what to do about it."""

import click

from infra.cli import output
from infra.cli.checks import examine

_MARKS = {"ok": "[green]✓[/green]", "note": "[yellow]•[/yellow]", "wrong": "[red]✗[/red]"}


@click.command(epilog=output.examples("agentic doctor", "AGENTIC_POSTGRES_DSN=postgresql://… agentic doctor"))
@output.json_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Say what is wrong on this machine, and what to do.

    Looks at Python, programs, variables, the servers that AGENTIC_POSTGRES_DSN and AGENTIC_NATS_URL name, port, disk,
    the data directory and the platform that runs on it. Changes nothing.

    Exits with 1 if anything is wrong.
    """
    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            output.stdout.print(f"{_MARKS[finding.state]} {finding.name:<12} {finding.detail}", soft_wrap=True)
            if finding.remedy:
                output.stdout.print(f"  {'':<12} [dim]→ {finding.remedy}[/dim]", soft_wrap=True)
    healthy = all(finding.state != "wrong" for finding in findings)
    if as_json:
        output.say_json({"healthy": healthy, "findings": findings})
    context.exit(0 if healthy else 1)
