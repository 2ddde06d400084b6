"""The workflows that are offered as tools, of all tenants: what another service can compare its own picture with."""

from typing import Any, Protocol
from uuid import UUID

import msgspec


class Offered(msgspec.Struct, frozen=True):
    """An active workflow that is a tool, as of the event `version` of its stream."""

    tenant_id: UUID
    workflow_id: UUID
    version: int
    slug: str
    definition: dict[str, Any]


class OfferedPage(msgspec.Struct, frozen=True):
    """Workflows in the order of their ids; `more`: others may follow.

    What was committed up to `position` of the log is in it: a workflow that is not there then was not offered.
    """

    workflows: list[Offered]
    position: int
    more: bool


class OfferedWorkflows(Protocol):
    """Reads of the offered workflows."""

    async def page(self, after: UUID) -> OfferedPage:
        """Return those behind this id, bounded in number and bytes."""
        ...
