"""What the workflow service hears on NATS: commands (durable), workers' results and HTTP tasks (core)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.workflow.app.children import Children
from services.workflow.app.engine import Engine
from services.workflow.app.family import CANCEL_CHILD, Orphan
from services.workflow.app.starting import Executions, Request
from services.workflow.entry.messages import (
    ANSWERS,
    CONTROL_SUBJECT,
    REPLY_TO,
    START_SUBJECT,
    Answer,
    ControlExecution,
    Refusal,
    StartExecution,
)
from services.workflow.limits import COMMAND_ACK_WAIT_S, COMMANDS_IN_FLIGHT, ENGINE_MAX_QUEUED, MAX_STEP_RESULT_BYTES
from shared.bus.durable import DurableConsumer
from shared.bus.envelope import EnvelopeDecoder
from shared.bus.outcome import Done, Outcome, Poison, Retry
from shared.bus.streams import COMMANDS
from shared.bus.tasks import RESULT_SUBJECTS, TaskError, TaskResult, too_deep
from shared.errors import InvalidInput, PlatformError
from shared.limits import NATS_PENDING_BYTES
from shared.nesting import is_deep, may_be_deep

_log = logging.getLogger(__name__)
_starts = EnvelopeDecoder(StartExecution)
_controls = EnvelopeDecoder(ControlExecution)
_orphans = EnvelopeDecoder(Orphan)
_results = EnvelopeDecoder(TaskResult)


def consumers(client: Callable[[], Client], executions: Executions) -> list[DurableConsumer]:
    """Return the readers of the service's commands."""

    async def start_one(command: StartExecution) -> Answer:
        accepted = await executions.start(
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
                None,
                command.forked_from,
            )
        )
        return Answer(accepted.execution_id, accepted.status, accepted.version, accepted.position)

    async def control_one(command: ControlExecution) -> Answer:
        told = command.action.command(command.actor)
        accepted = await executions.control(command.execution_id, command.tenant_id, told, command.actor)
        return Answer(accepted.execution_id, accepted.status, accepted.version, accepted.position)

    async def on_starts(message: Msg) -> Outcome:
        try:
            commands = _starts(message.data)
        except InvalidInput as error:
            return Poison(error.message)
        answers = await _all([_answered(command.execution_id, start_one(command)) for command in commands])
        return await _settle(client(), message, answers)

    async def on_controls(message: Msg) -> Outcome:
        try:
            commands = _controls(message.data)
        except InvalidInput as error:
            return Poison(error.message)
        answers = await _all([_answered(command.execution_id, control_one(command)) for command in commands])
        return await _settle(client(), message, answers)

    return [
        DurableConsumer(
            service="workflow",
            stream=COMMANDS,
            subject=subject,
            durable=f"workflow-{subject.rpartition('.')[2]}",
            handler=handler,
            max_in_flight=COMMANDS_IN_FLIGHT,
            ack_wait_s=COMMAND_ACK_WAIT_S,
        )
        for subject, handler in ((START_SUBJECT, on_starts), (CONTROL_SUBJECT, on_controls))
    ]


async def listen_to_results(client: Client, engine: Engine) -> None:
    """Hear workers' results: the hottest subject there is, so it is read without FastStream's cost a message."""

    async def on_results(message: Msg) -> None:
        try:
            results = _results(message.data)
        except InvalidInput:
            _log.exception("a message on %s is no list of results", message.subject)
            return
        if len(message.data) > MAX_STEP_RESULT_BYTES:
            results = [_bounded(result) for result in results]
        if may_be_deep(message.data) and is_deep([[r.output, r.error and r.error.details] for r in results]):
            results = [_shallow(result) for result in results]
        engine.results(results)

    await client.subscribe(
        RESULT_SUBJECTS, cb=on_results, pending_msgs_limit=ENGINE_MAX_QUEUED, pending_bytes_limit=NATS_PENDING_BYTES
    )


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


def _bounded(result: TaskResult) -> TaskResult:
    size = len(msgspec.json.encode(result.output))
    if size <= MAX_STEP_RESULT_BYTES:
        return result
    error = TaskError("result_too_large", f"The result has {size:,} bytes; {MAX_STEP_RESULT_BYTES:,} are allowed.")
    return msgspec.structs.replace(result, status="error", output=None, error=error)


def _shallow(result: TaskResult) -> TaskResult:
    """Return a result that can be read again once it is stored."""
    if not is_deep(result.output) and not (result.error and is_deep(result.error.details)):
        return result
    return msgspec.structs.replace(result, status="error", output=None, error=too_deep())


async def _all(work: list[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    if len(work) == 1:  # as nearly always: a task of its own would cost as much as the command
        return [await work[0]]
    return list(await asyncio.gather(*work))


async def _answered(execution_id: UUID, work: Awaitable[Answer]) -> Answer:
    try:
        return await work
    except PlatformError as error:
        refusal = Refusal(error.code, error.message, error.faults, error.retry_after)
        return Answer(execution_id, error=refusal)


async def _settle(client: Client, message: Msg, answers: list[Answer]) -> Outcome:
    """Answer whoever waits. A command that only came at a bad time is delivered again; a wrong one is kept aside."""
    refused = [answer.error for answer in answers if answer.error is not None]
    if any(error.retry_after is not None for error in refused):
        return Retry(1.0, refused[0].message)  # whoever waits was told that it is kept, or will be
    reply_to = (message.headers or {}).get(REPLY_TO, "")
    if reply_to.startswith(ANSWERS):  # elsewhere, an answer could be taken for a fact or a result
        await client.publish(reply_to, msgspec.json.encode(answers))
        return Done()
    if refused:
        return Poison(f"{refused[0].code}: {refused[0].message}")
    return Done()
