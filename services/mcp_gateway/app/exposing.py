"""Which workflows are tools: kept in step with what the workflow service says, and held against it now and then."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.exposed import ExposedWorkflow
from services.mcp_gateway.limits import EXPOSED_LOOK_SECONDS, EXPOSED_RETRY_SECONDS
from shared.errors import PlatformError
from shared.scope import TenantScope

_log = logging.getLogger(__name__)
_FIRST = UUID(int=0)


class WorkflowFact(msgspec.Struct, frozen=True, kw_only=True):
    """What one event says of a workflow: of its definition (`tool`, if `defines`), of its status, or of both.

    `version` is the event's in the workflow's stream, `position` in the log of the workflow service.
    """

    tenant_id: UUID
    workflow_id: UUID
    version: int
    position: int
    defines: bool = False
    tool: ExposedWorkflow | None = None
    status: str | None = None


class ExposedPage(msgspec.Struct, frozen=True):
    """Workflows that are tools, in the order of their ids; `last` is the last id, None if nothing follows.

    What is in the log up to `position` is in it.
    """

    workflows: Sequence[WorkflowFact]
    position: int
    last: UUID | None


class ExposedSource(Protocol):
    """The workflow service."""

    async def exposed(self, after: UUID) -> ExposedPage:
        """Return the active workflows of all tenants that are tools, behind this id. Raises `PlatformError`."""
        ...


class ExposedStore(Protocol):
    """The copy."""

    async def take(self, fact: WorkflowFact, *, surely: bool = False) -> bool:
        """Take what is newer than what is there, or as new (`surely`); return whether the tenant's tools changed."""
        ...

    async def drop_others(self, kept: Sequence[UUID], position: int) -> set[UUID]:
        """Take note that what was known at `position` and is none of these is no tool; return whose tools changed."""
        ...

    async def listed(self, scope: TenantScope) -> list[ExposedWorkflow]:
        """Return the tenant's workflows that are tools, those that changed last at the end."""
        ...


class Exposing:
    """Takes events and, since a bus can lose them, compares with the source at the start and each minute."""

    def __init__(self, store: ExposedStore, source: ExposedSource, changed: Callable[[UUID], Awaitable[None]]) -> None:
        self._store = store
        self._source = source
        self._changed = changed
        self._missed = asyncio.Event()

    async def hear(self, fact: WorkflowFact) -> None:
        """Take what an event says."""
        if await self._store.take(fact):
            await self._changed(fact.tenant_id)

    def miss(self) -> None:
        """Compare soon: an event said less than there was to say."""
        self._missed.set()

    async def run(self) -> None:
        """Compare until cancelled."""
        failing = False
        while True:
            self._missed.clear()
            try:
                await self.compare()
            except PlatformError as error:
                if not failing:
                    _log.warning("which workflows are tools cannot be compared: %s", error.message)
                failing = True
            else:
                failing = False
            await self._pause(EXPOSED_RETRY_SECONDS if failing else EXPOSED_LOOK_SECONDS)

    async def compare(self) -> None:
        """Make the copy what the source has. Doing it at any time, and twice, is right."""
        page = await self._source.exposed(_FIRST)
        known_at, kept, changed = page.position, list[UUID](), set[UUID]()
        while True:
            for fact in page.workflows:
                kept.append(fact.workflow_id)
                if await self._store.take(fact, surely=True):
                    changed.add(fact.tenant_id)
            if page.last is None:
                break
            page = await self._source.exposed(page.last)
        changed |= await self._store.drop_others(kept, known_at)
        for tenant_id in changed:
            await self._changed(tenant_id)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._missed.wait()
        except TimeoutError:
            return
