"""What the workflow service hears on NATS of commands, which are durable. Results: `entry/routes.py`."""

import logging
from collections.abc import Callable
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.workflow.app.children import Children
from services.workflow.app.family import CANCEL_CHILD, Orphan
from services.workflow.app.items import Accepted
from services.workflow.app.starting import Executions, Request
from services.workflow.entry.handover import HandOver, Verb, Verbs
from services.workflow.entry.messages import (
    CONTROL_SUBJECT,
    START_SUBJECT,
    Answer,
    ControlExecution,
    StartExecution,
)
from services.workflow.limits import COMMAND_ACK_WAIT_S, COMMANDS_IN_FLIGHT
from shared.bus.answered import ANSWERS, REPLY_TO
from shared.bus.durable import DurableConsumer, Handler
from shared.bus.envelope import EnvelopeDecoder
from shared.bus.outcome import Done, Outcome, Poison, Retry
from shared.bus.streams import COMMANDS
from shared.errors import InvalidInput

_log = logging.getLogger(__name__)
_orphans = EnvelopeDecoder(Orphan)


def verbs(executions: Executions) -> Verbs:
    """Return how each command is carried out by the process that owns its execution."""

    async def start(command: StartExecution) -> Accepted:
        return await executions.start(
            Request(
                command.execution_id,
                command.tenant_id,
                command.workflow,
                command.revision,
                command.input,
                command.context,
                command.trigger,
                command.actor,
                command.traceparent,
                command.priority,
                command.attributes,
                command.tags,
                command.parent,
                command.forked_from,
            )
        )

    async def control(command: ControlExecution) -> Accepted:
        told = command.action.command(command.actor)
        return await executions.control(command.execution_id, command.tenant_id, told, command.actor)

    return {START_SUBJECT: Verb(StartExecution, start), CONTROL_SUBJECT: Verb(ControlExecution, control)}


def consumers(client: Callable[[], Client], table: Verbs, handover: HandOver) -> list[DurableConsumer]:
    """Return the readers of the service's commands. Replicas share them: each hands on what is another one's."""

    def handler_of(subject: str, verb: Verb[Any]) -> Handler:
        async def on_commands(message: Msg) -> Outcome:
            try:
                commands = verb.decode(message.data)
            except InvalidInput as error:
                return Poison(error.message)
            return await _settle(client(), message, await handover.answers(subject, commands))

        return on_commands

    return [
        DurableConsumer(
            service="workflow",
            stream=COMMANDS,
            subject=subject,
            durable=f"workflow-{subject.rpartition('.')[2]}",
            handler=handler_of(subject, verb),
            max_in_flight=COMMANDS_IN_FLIGHT,
            ack_wait_s=COMMAND_ACK_WAIT_S,
        )
        for subject, verb in table.items()
    ]


async def listen_to_parents(client: Client, children: Children) -> None:
    """Hear of children that their parents let go; one process takes each message."""

    async def on_orphans(message: Msg) -> None:
        try:
            orphans = _orphans(message.data)
        except InvalidInput:
            _log.exception("a message on %s is no list of children", message.subject)
            return
        await children.cancel(orphans)

    await client.subscribe(CANCEL_CHILD, queue="workflow", cb=on_orphans)


async def _settle(client: Client, message: Msg, answers: list[Answer]) -> Outcome:
    """Answer whoever waits. A command that only came at a bad time is delivered again; a wrong one is kept aside."""
    refused = [answer.error for answer in answers if answer.error is not None]
    pauses = [(error.retry_after, error.message) for error in refused if error.retry_after is not None]
    if pauses:
        return Retry(*max(pauses))  # whoever waits was told that it is kept, or will be
    reply_to = (message.headers or {}).get(REPLY_TO, "")
    if reply_to.startswith(ANSWERS):  # elsewhere, an answer could be taken for a fact or a result
        await client.publish(reply_to, msgspec.json.encode(answers))
        return Done()
    if refused:
        return Poison(f"{refused[0].code}: {refused[0].message}")
    return Done()
