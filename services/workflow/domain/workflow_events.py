"""The events of a workflow's definition."""

from typing import Any

import msgspec

from shared.eventstore.catalogue import DomainEvent, EventCatalogue


class WorkflowDefined(DomainEvent, frozen=True):
    """A workflow exists, with its first revision."""

    TYPE = "workflow.workflow-defined.v1"
    PUBLIC = True

    slug: str
    definition: dict[str, Any]
    revision: int = 1


class WorkflowRevised(DomainEvent, frozen=True):
    """A workflow has a new revision; executions that run stay on theirs."""

    TYPE = "workflow.workflow-revised.v1"
    PUBLIC = True

    slug: str
    definition: dict[str, Any]
    revision: int


class WorkflowStatusChanged(DomainEvent, frozen=True):
    """A workflow became `active` or `archived`."""

    TYPE = "workflow.workflow-status-changed.v1"
    PUBLIC = True

    status: str


class WorkflowDeleted(DomainEvent, frozen=True):
    """A workflow that never ran is gone."""

    TYPE = "workflow.workflow-deleted.v1"
    PUBLIC = True

    reason: str = "deleted"


WORKFLOW_EVENTS = EventCatalogue([WorkflowDefined, WorkflowRevised, WorkflowStatusChanged, WorkflowDeleted])


def definition_of(raw: bytes) -> dict[str, Any]:
    """Return a stored definition as the JSON object that events carry."""
    return msgspec.json.decode(raw, type=dict[str, Any])
