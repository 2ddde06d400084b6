"""`agentic approvals`: decisions that executions wait for."""

import asyncio
from typing import Any
from uuid import UUID

import click
from rich.markup import escape

from infra.cli import output
from infra.cli.shapes import ApprovalPage, Execution
from infra.cli.target import reach, tenant_option
from infra.cli.workflows import read_input


@click.group()
def approvals() -> None:
    """Look at what executions ask people, and decide."""


@approvals.command("list", epilog=output.examples("agentic approvals list", "agentic approvals list --assignee user:…"))
@click.option("--assignee", default=None, metavar="WHO", help="Only those that ask somebody, such as user:<id>.")
@tenant_option
@output.json_option
def pending(*, assignee: str | None, tenant: str, as_json: bool) -> None:
    """List the decisions that are pending, the oldest first."""
    page = asyncio.run(_list(assignee, tenant))
    if as_json:
        output.say_json(page)
        return
    output.table(
        ("ID", "TITLE", "ASSIGNEES", "EXECUTION", "SINCE"),
        ((a.id, escape(a.name), escape(", ".join(a.assignees)), a.execution_id, a.since) for a in page.approvals),
    )


async def _list(assignee: str | None, tenant: str) -> ApprovalPage:
    params = {} if assignee is None else {"assignee": assignee}
    async with (await reach(tenant)).api() as api:
        return await api.get("/workflows/approvals", ApprovalPage, **params)


def _decision(name: str, sentence: str, *, approved: bool) -> click.Command:
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
            click.echo(f"{name}d; the execution {execution.id} is {execution.status}".replace("rejectd", "rejected"))

    decide.help = f"{sentence}\n\nID is the approval's, as `approvals list` prints it."
    return decide


async def _decide(approval_id: str, body: dict[str, Any], tenant: str) -> Execution:
    async with (await reach(tenant)).api() as api:
        return await api.post(f"/workflows/approvals/{approval_id}", Execution, body)


approvals.add_command(_decision("approve", "Say yes.", approved=True))
approvals.add_command(_decision("reject", "Say no.", approved=False))
