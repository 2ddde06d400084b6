"""`python -m tests.simulation`: one seed with its story, or as many as one has time for."""

import sys
import time

import click

from tests.simulation.plants import NOTHING, PLANTS
from tests.simulation.story import LINES, run, story

PROGRESS_S = 5.0
EVERYTHING = 10**6


@click.command()
@click.option("--seed", type=int, help="Run this one seed.")
@click.option("--seeds", type=int, default=1_000, show_default=True, help="Run so many seeds.")
@click.option("--from", "first", type=int, default=0, show_default=True, help="The first of the seeds.")
@click.option("--plant", type=click.Choice(sorted(PLANTS)), help="Put in this bug.")
@click.option("-v", "--verbose", is_flag=True, help="With --seed: tell the whole story.")
def main(seed: int | None, seeds: int, first: int, plant: str | None, verbose: bool) -> None:
    """Run the workflow engine on virtual time, on seeded faults, and check what came of it."""
    bug = NOTHING if plant is None else PLANTS[plant]
    wanted = range(first, first + seeds) if seed is None else range(seed, seed + 1)
    began = said_at = time.monotonic()
    executions = events = effects = 0
    for count, number in enumerate(wanted, 1):
        outcome = run(number, bug)
        if outcome.violations:
            click.echo(story(outcome, bug, lines=EVERYTHING if verbose else LINES))
            sys.exit(1)
        executions += outcome.executions
        events += outcome.events
        effects += outcome.effects
        now = time.monotonic()
        if now - said_at > PROGRESS_S:
            said_at = now
            click.echo(f"{count:,} of {len(wanted):,} seeds, {count / (now - began):.0f} a second", err=True)
    if verbose and seed is not None:
        for seconds, what in run(seed, bug, traced=True).trace or []:
            click.echo(f"{seconds:9.3f}  {what}")
    click.echo(
        f"{len(wanted):,} seeds: {executions:,} executions, {events:,} events, {effects:,} tasks done; nothing violated"
    )


main()
