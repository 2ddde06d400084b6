"""`agentic approvals`: decisions that executions wait for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import click

from infra.cli import output
from infra.cli.api import Api
from infra.cli.limits import LISTED_AT_ONCE
from infra.cli.shapes import Approval, ApprovalPage, Execution
from infra.cli.target import reach, tenant_option
from infra.cli.workflows import read_input

_PATH = "/workflows/approvals"


@click.group()
def approvals() -> None:
    """Look at what executions ask people, and decide."""


@approvals.command("list", epilog=output.examples("agentic approvals list", "agentic approvals list --assignee user:…"))
@click.option("--assignee", default=None, metavar="WHO", help="Only those that ask somebody, such as user:<id>.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="How many to print at most.")
@tenant_option
@output.json_option
def pending(*, assignee: str | None, limit: int, tenant: str, as_json: bool) -> None:
    """List the decisions that are pending, those asked for last first (with --json one to a line)."""
    found = asyncio.run(_list(assignee, limit, tenant))
    if as_json:
        for approval in found:
            output.say_json(approval)
        return
    output.table(
        ("ID", "TITLE", "ASSIGNEES", "EXECUTION", "SINCE"),
        (
            (
                approval.id,
                output.escaped(approval.title or approval.name),
                output.escaped(", ".join(approval.assignees)),
                approval.execution_id,
                approval.created_at,
            )
            for approval in found
        ),
    )


async def _list(assignee: str | None, limit: int, tenant: str) -> list[Approval]:
    params = {} if assignee is None else {"assignee": assignee}
    async with (await reach(tenant)).api() as api:
        return [approval async for approval in found_approvals(api, params, limit)]


async def found_approvals(api: Api, params: dict[str, str], limit: int) -> AsyncIterator[Approval]:
    """Yield at most `limit` approvals, from as many pages as it takes: one can be empty, and not the last."""
    cursor: str | None = ""
    while limit > 0 and cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = await api.get(_PATH, ApprovalPage, **params, **more, limit=min(limit, LISTED_AT_ONCE))
        for approval in page.approvals:
            yield approval
        limit -= len(page.approvals)
        cursor = page.next_cursor


def _decision(name: str, sentence: str, done: str, *, approved: bool) -> click.Command:
    @click.command(name, epilog=output.examples(f"agentic approvals {name} 01980c7e-…"))
    @click.argument("approval_id", metavar="ID", type=click.UUID)
    @click.option("--comment", default="", metavar="TEXT", help="What to say with it.")
    @click.option("--data", "data", default=None, metavar="JSON|@FILE", help="What the approval's form asks for.")
    @tenant_option
    @output.json_option
    def decide(approval_id: UUID, *, comment: str, data: str | None, tenant: str, as_json: bool) -> None:
        body = {"approved": approved, "comment": comment, "data": None if data is None else read_input(data)}
        execution = asyncio.run(_decide(str(approval_id), body, tenant))
        if as_json:
            output.say_json(execution)
        else:
            click.echo(f"{done}; the execution {execution.id} is {execution.status}")

    decide.help = f"{sentence}\n\nID is the approval's, as `approvals list` prints it."
    return decide


async def _decide(approval_id: str, body: dict[str, Any], tenant: str) -> Execution:
    async with (await reach(tenant)).api() as api:
        return await api.post(f"{_PATH}/{approval_id}", Execution, body)


approvals.add_command(_decision("approve", "Say yes.", "approved", approved=True))
approvals.add_command(_decision("reject", "Say no.", "rejected", approved=False))
