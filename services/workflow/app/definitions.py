"""Workflows: created as drafts, revised, activated, archived."""

import datetime as dt
from typing import Any, Protocol
from uuid import UUID

import msgspec

from services.workflow.domain.language.definition import Definition, EventTrigger
from services.workflow.domain.language.exposure import tool_name_of
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import compile_program
from services.workflow.domain.language.warnings import warnings_of
from services.workflow.domain.workflow_events import (
    WorkflowDefined,
    WorkflowDeleted,
    WorkflowRevised,
    WorkflowStatusChanged,
    definition_of,
)
from services.workflow.errors import WorkflowExists, WorkflowInUse
from shared.errors import FieldFault, InvalidInput, PreconditionFailed
from shared.eventstore.catalogue import DomainEvent
from shared.scope import TenantScope

DRAFT = "draft"
ACTIVE = "active"
ARCHIVED = "archived"
_STATUS_FAULT = FieldFault("status", "One of: draft, active. Later: POST …/activate or …/archive.", "bad_status")


class WorkflowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it is stored. `definition` is JSON as accepted; `stream_version` is its ETag.

    `tool_name` is that of the tool which MCP clients find it as, None if they do not or if it is archived.
    """

    id: UUID
    slug: str
    name: str
    description: str
    category: str
    tags: list[str]
    version: str
    revision: int
    status: str
    definition: bytes
    event_subjects: list[str]
    tool_name: str | None
    stream_version: int


class Written(msgspec.Struct, frozen=True):
    """What a change came to: the position of its event (None: nothing had to change), and what the author may mend."""

    position: int | None
    warnings: list[FieldFault] = []


class WorkflowRepository(Protocol):
    """Rows and events of workflows, one tenant at a time."""

    async def get(self, scope: TenantScope, workflow_id: UUID) -> WorkflowRow:
        """Return a workflow. Raises `WorkflowNotFound`."""
        ...

    async def save(
        self,
        scope: TenantScope,
        row: WorkflowRow | None,
        workflow_id: UUID,
        expected: int,
        event: DomainEvent,
        now: dt.datetime,
    ) -> int:
        """Write the row (None deletes it) with its event as version `expected + 1`; return the position.

        Raises `SlugTaken`, `ToolNameTaken` and `ConcurrentAppend`.
        """
        ...

    async def has_executions(self, scope: TenantScope, workflow_id: UUID) -> bool:
        """Return whether the workflow ever ran."""
        ...


class Definitions:
    """What can be done to workflows."""

    def __init__(self, repository: WorkflowRepository) -> None:
        self._repository = repository

    async def create(self, scope: TenantScope, workflow_id: UUID, body: dict[str, Any], now: dt.datetime) -> Written:
        """Define a workflow. It is a draft unless the body says `status: active`.

        An id that is taken is this very request's, which broke off before it was answered: the same thing is answered.
        """
        status = body.pop("status", DRAFT)
        if status not in {DRAFT, ACTIVE}:
            raise InvalidInput("A new workflow is a draft or active.", faults=[_STATUS_FAULT])
        definition, warnings = _checked(body)
        row = _row(workflow_id, definition, status, 1, 1)
        event = WorkflowDefined(row.slug, definition_of(row.definition), status=status)
        try:
            position = await self._repository.save(scope, row, workflow_id, 0, event, now)
        except WorkflowExists as repeated:
            position = repeated.position
        return Written(position, warnings)

    async def revise(
        self,
        scope: TenantScope,
        workflow_id: UUID,
        changes: dict[str, Any],
        now: dt.datetime,
        if_match: int | None,
    ) -> Written:
        """Store a new revision: the definition with the given fields changed."""
        if "status" in changes:
            raise InvalidInput("The status is changed by activating or archiving.", faults=[_STATUS_FAULT])
        row = await self._matching(scope, workflow_id, if_match)
        definition, warnings = _checked({**definition_of(row.definition), **changes})
        new = _row(workflow_id, definition, row.status, row.revision + 1, row.stream_version + 1)
        event = WorkflowRevised(slug=new.slug, definition=definition_of(new.definition), revision=new.revision)
        position = await self._repository.save(scope, new, workflow_id, row.stream_version, event, now)
        return Written(position, warnings)

    async def set_status(self, scope: TenantScope, workflow_id: UUID, status: str, now: dt.datetime) -> Written:
        """Activate or archive, if it is not so already. Activation checks the definition as today's code reads it."""
        row = await self._repository.get(scope, workflow_id)
        warnings: list[FieldFault] = []
        tool_name = None
        if status == ACTIVE:
            definition, warnings = _checked(definition_of(row.definition))
            tool_name = tool_name_of(definition)
        if row.status == status:
            return Written(None, warnings)
        new = msgspec.structs.replace(row, status=status, tool_name=tool_name, stream_version=row.stream_version + 1)
        event = WorkflowStatusChanged(status)
        position = await self._repository.save(scope, new, workflow_id, row.stream_version, event, now)
        return Written(position, warnings)

    async def delete(self, scope: TenantScope, workflow_id: UUID, now: dt.datetime, if_match: int | None) -> int:
        """Delete a workflow that never ran; return its last position. Raises `WorkflowInUse` otherwise: archive it."""
        row = await self._matching(scope, workflow_id, if_match)
        if await self._repository.has_executions(scope, workflow_id):
            raise WorkflowInUse("The workflow has executions, whose history stays: archive it instead.")
        return await self._repository.save(scope, None, workflow_id, row.stream_version, WorkflowDeleted(), now)

    async def _matching(self, scope: TenantScope, workflow_id: UUID, if_match: int | None) -> WorkflowRow:
        row = await self._repository.get(scope, workflow_id)
        if if_match is not None and if_match != row.stream_version:
            raise PreconditionFailed("The workflow was changed meanwhile: read it again.")
        return row


def _checked(body: dict[str, Any]) -> tuple[Definition, list[FieldFault]]:
    definition = parse_definition(body)
    compile_program(definition)
    return definition, warnings_of(definition)


def _row(workflow_id: UUID, d: Definition, status: str, revision: int, stream_version: int) -> WorkflowRow:
    return WorkflowRow(
        id=workflow_id,
        slug=d.effective_slug(),
        name=d.name,
        description=d.description,
        category=d.category or "",
        tags=list(d.tags),
        version=d.version,
        revision=revision,
        status=status,
        definition=msgspec.json.encode(d),
        event_subjects=[t.subject for t in d.triggers if isinstance(t, EventTrigger)],
        tool_name=None if status == ARCHIVED else tool_name_of(d),
        stream_version=stream_version,
    )
