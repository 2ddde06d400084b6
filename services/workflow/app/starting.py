"""Starting and cancelling executions, whoever asks."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.app.engine import Engine
from services.workflow.app.items import Accepted, CancelItem, StartItem
from services.workflow.app.ports import Programs
from services.workflow.domain.labels import labels_of, scope_of
from services.workflow.domain.language.bounds import json_fault
from services.workflow.limits import DEFAULT_PRIORITY, MAX_INPUT_BYTES, MAX_INPUT_DEPTH
from shared.errors import InvalidInput, TooLarge


class Request(msgspec.Struct, frozen=True):
    """A start as it was asked for: `workflow` is an id or a slug, `revision` None for the active one."""

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


class Executions:
    """The door to the engine: what passes it can be run."""

    def __init__(self, engine: Engine, programs: Programs) -> None:
        self._engine = engine
        self._programs = programs

    async def start(self, request: Request) -> Accepted:
        """Check and start; return once that is durable.

        Raises `WorkflowNotFound`, `WorkflowNotActive`, `TooLarge`, `InvalidInput`, `InputInvalid`, `AttributesInvalid`,
        `EngineBusy`.
        """
        resolved = await self._programs.resolve(request.tenant_id, request.workflow)
        revision = resolved.revision if request.revision is None else request.revision
        program = await self._programs.load(resolved.workflow_id, revision)
        fault = json_fault([request.input, request.context], max_depth=MAX_INPUT_DEPTH, max_size=MAX_INPUT_BYTES)
        if fault is not None:
            raise (TooLarge if fault.code == "too_large" else InvalidInput)(
                f"The input cannot be taken: {fault.message}.", faults=[fault]
            )
        size = len(msgspec.json.encode((request.input, request.context)))
        if size > MAX_INPUT_BYTES:
            raise TooLarge(f"The input has {size:,} bytes; {MAX_INPUT_BYTES:,} are allowed.")
        program.validate_input(request.input)
        attributes = request.attributes
        if program.search or attributes or request.tags:
            scope = scope_of(request.execution_id, request.tenant_id, request.input, request.context)
            attributes = labels_of(program.search, attributes, request.tags, scope)
        return await self._engine.start(
            StartItem(
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
            )
        )

    async def cancel(self, execution_id: UUID, tenant_id: UUID, reason: str, actor: str) -> Accepted:
        """Cancel; return once that is durable. An execution that ended stays as it is."""
        done: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        return await self._engine.cancel(CancelItem(execution_id, tenant_id, reason, actor, done))
