"""Starting executions and telling them things, whoever asks."""

import asyncio
from typing import Any, Protocol
from uuid import UUID

import msgspec

from services.workflow.app.admission import Admission, Tell
from services.workflow.app.engine import Engine
from services.workflow.app.forking import recorded_before
from services.workflow.app.items import Accepted, Control, ControlItem, StartItem
from services.workflow.app.ports import HistoryReader, Programs
from services.workflow.domain.commands import Decide, Retry, Signal
from services.workflow.domain.events import EXECUTION_EVENTS, ExecutionStarted, Origin, Parent
from services.workflow.domain.labels import labels_of
from services.workflow.domain.language.bounds import json_fault
from services.workflow.domain.language.program import Program
from services.workflow.domain.scope import opening_scope
from services.workflow.domain.walk import Recorded
from services.workflow.errors import ExecutionNotFound
from services.workflow.limits import DEFAULT_PRIORITY, MAX_INPUT_BYTES, MAX_INPUT_DEPTH
from shared.errors import InvalidInput, TooLarge
from shared.scope import TenantScope


class Request(msgspec.Struct, frozen=True):
    """A start as it was asked for: `workflow` is an id or a slug, `revision` None for the active one.

    With `forked_from` the steps that came before that one end as they did there.
    """

    execution_id: UUID
    tenant_id: UUID
    workflow: str
    revision: int | None
    input: Any
    context: dict[str, Any]
    trigger: str
    actor: str
    traceparent: str | None
    priority: int = DEFAULT_PRIORITY
    attributes: dict[str, Any] = {}
    tags: list[str] = []
    parent: Parent | None = None
    forked_from: Origin | None = None


class Door(Protocol):
    """The way to an execution, whichever process decides it. Both raise `PlatformError`."""

    async def start(self, request: Request) -> Accepted:
        """Start an execution; return once that is durable."""
        ...

    async def cancel(self, execution_id: UUID, tenant_id: UUID, reason: str, actor: str) -> Accepted:
        """Cancel an execution; return once that is durable."""
        ...


class Executions:
    """The door to the engine: what passes it can be run.

    `tell` reaches executions that other processes decide; without it, those of this process.
    """

    def __init__(
        self,
        engine: Engine,
        programs: Programs,
        reader: HistoryReader,
        admission: Admission,
        tell: Tell | None = None,
    ) -> None:
        self._engine = engine
        self._programs = programs
        self._reader = reader
        self._admission = admission
        self._tell = tell or self.control

    async def start(self, request: Request) -> Accepted:
        """Check and start; return once that is durable.

        Raises `WorkflowNotFound`, `WorkflowNotActive`, `TooLarge`, `InvalidInput`, `InputInvalid`, `AttributesInvalid`,
        `EngineBusy`, for a fork `ExecutionNotFound`, `ForkPointUnknown` and `ForkPointUndoes`, and for a workflow with
        a concurrency key what `Admission` has.
        """
        resolved = await self._programs.resolve(request.tenant_id, request.workflow)
        revision = resolved.revision if request.revision is None else request.revision
        program = await self._programs.load(resolved.workflow_id, revision)
        _check(request, program)
        recorded = {} if request.forked_from is None else await self._recorded(request, request.forked_from, program)
        attributes = request.attributes
        if request.forked_from is not None:  # what the definition makes of the input is made of this one's
            attributes = {name: value for name, value in attributes.items() if name not in program.search}
        if program.search or attributes or request.tags:
            scope = opening_scope(request.execution_id, request.tenant_id, request.input, request.context)
            attributes = labels_of(program.search, attributes, request.tags, scope)
        item = StartItem(
            request.execution_id,
            request.tenant_id,
            resolved.workflow_id,
            revision,
            request.input,
            request.context,
            request.trigger,
            request.actor,
            request.traceparent,
            asyncio.get_running_loop().create_future(),
            request.priority,
            attributes,
            request.tags,
            request.parent,
            request.forked_from,
            recorded=recorded,
        )
        if program.concurrency is not None:
            return await self._admission.start(program.concurrency, item, self._tell)
        return await self._engine.start(item)

    async def control(self, execution_id: UUID, tenant_id: UUID, command: Control, actor: str) -> Accepted:
        """Tell an execution something; return once that is durable.

        Raises `ExecutionNotFound`, `TooLarge`, `InvalidInput`, what `domain.refusals` has, and for a retry
        `ConcurrencyLimit`.
        """
        if isinstance(command, Signal | Decide):
            _check_json("data", [getattr(command, name) for name in command.__struct_fields__])
        done: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        item = ControlItem(execution_id, tenant_id, command, actor, done)
        if isinstance(command, Retry):
            return await self._admission.retry(item, self._tell)
        return await self._engine.control(item)

    async def _recorded(self, request: Request, origin: Origin, program: Program) -> dict[str, Recorded]:
        events = await self._reader.read_stream(TenantScope(request.tenant_id, request.actor), origin.execution_id)
        if not events:
            raise ExecutionNotFound(origin.execution_id)
        started = EXECUTION_EVENTS.decode(events[0].type, events[0].data)
        if not isinstance(started, ExecutionStarted):
            raise TypeError(f"the history of {origin.execution_id} does not begin with its start")
        theirs = await self._programs.load(started.workflow_id, started.revision)
        return await recorded_before(events, origin.path, theirs, program)


def _check(request: Request, program: Program) -> None:
    _check_json("input", [request.input, request.context])
    size = len(msgspec.json.encode((request.input, request.context)))
    if size > MAX_INPUT_BYTES:
        raise TooLarge(f"The input has {size:,} bytes; {MAX_INPUT_BYTES:,} are allowed.")
    program.validate_input(request.input)


def _check_json(what: str, value: Any) -> None:
    """Raise `TooLarge` or `InvalidInput` for what could be taken in and not be read again."""
    fault = json_fault(value, max_depth=MAX_INPUT_DEPTH, max_size=MAX_INPUT_BYTES)
    if fault is not None:
        raise (TooLarge if fault.code == "too_large" else InvalidInput)(
            f"The {what} cannot be taken: {fault.message}.", faults=[fault]
        )
