"""Slots of concurrency keys: who of a workflow's executions with the same key runs, and who waits."""

from collections.abc import Sequence
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from services.workflow.domain.language.concurrency import WhenFull
from shared.scope import TenantScope

Outcome = Literal["holding", "queued", "known", "full", "queue_full"]


class SlotWanted(msgspec.Struct, frozen=True):
    """An execution asks for a slot; `again` if it has ended and is to go on."""

    tenant_id: UUID
    workflow_id: UUID
    key: str
    execution_id: UUID
    limit: int
    when_full: WhenFull
    priority: int
    again: bool = False


class SlotTaken(msgspec.Struct, frozen=True):
    """What it got: `known` if it has begun already, `full` or `queue_full` if nothing was taken.

    Executions of the same key that have got a slot meanwhile are `admitted`; those that make room are `leaving`.
    """

    outcome: Outcome
    admitted: list[UUID]
    leaving: list[UUID]


class SlotKey(msgspec.Struct, frozen=True):
    """A key of one workflow."""

    tenant_id: UUID
    workflow_id: UUID
    key: str


class Queued(msgspec.Struct, frozen=True):
    """For which key an execution waits; the first in the queue has the position 1."""

    key: str
    position: int


class Found(msgspec.Struct, frozen=True):
    """An execution that something is still to be told."""

    tenant_id: UUID
    execution_id: UUID


class Slots(Protocol):
    """The truth of who holds a slot. What a process did not get to do is found by the others."""

    async def take(self, wanted: SlotWanted) -> SlotTaken:
        """Ask for a slot; asked again for the same execution, the answer is the same."""
        ...

    async def give_back(self, execution_id: UUID) -> None:
        """Give a slot back with which nothing began, and nothing will."""
        ...

    async def settle(self, key: SlotKey) -> list[UUID]:
        """Forget who no longer needs a slot and give what is free to who waits; return these."""
        ...

    async def clear_out(self, key: SlotKey) -> list[UUID]:
        """Settle, and look through the whole queue for who no longer waits in it."""
        ...

    async def is_anybody_queued(self) -> bool:
        """Whether any execution waits for a slot."""
        ...

    async def movable(self) -> Sequence[SlotKey]:
        """Return keys of which somebody waits and could go on."""
        ...

    async def stale(self) -> Sequence[SlotKey]:
        """Return keys of which somebody has a slot who has ended, or never began."""
        ...

    async def unadmitted(self) -> Sequence[Found]:
        """Return executions that have a slot and were not told so."""
        ...

    async def leaving(self) -> Sequence[Found]:
        """Return executions that are to make room and have not ended."""
        ...


class SlotReads(Protocol):
    """What requests of one tenant may know of slots."""

    async def place(self, scope: TenantScope, execution_id: UUID) -> Queued | None:
        """Return for what an execution waits, None if it does not (or no longer)."""
        ...
