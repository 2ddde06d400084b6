"""The events of a workflow's definition."""

import datetime as dt
from typing import Any

import msgspec

from shared.eventstore.catalogue import DomainEvent, EventCatalogue


class WorkflowDefined(DomainEvent, frozen=True):
    """A workflow exists, with its first revision. It is a `draft`, or `active` from its beginning."""

    TYPE = "workflow.workflow-defined.v1"
    PUBLIC = True

    slug: str
    definition: dict[str, Any]
    revision: int = 1
    status: str = "draft"


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


class WorkflowWebhookRotated(DomainEvent, frozen=True):
    """A webhook has a new signing key. The one before is good until `previous_until`, if that is said."""

    TYPE = "workflow.workflow-webhook-rotated.v1"
    PUBLIC = True

    name: str
    key_version: int
    previous_until: dt.datetime | None = None


class WorkflowDeleted(DomainEvent, frozen=True):
    """A workflow that never ran is gone."""

    TYPE = "workflow.workflow-deleted.v1"
    PUBLIC = True

    reason: str = "deleted"


WORKFLOW_EVENTS = EventCatalogue(
    [WorkflowDefined, WorkflowRevised, WorkflowStatusChanged, WorkflowWebhookRotated, WorkflowDeleted]
)


def definition_of(raw: bytes) -> dict[str, Any]:
    """Return a stored definition as the JSON object that events carry."""
    return msgspec.json.decode(raw, type=dict[str, Any])
