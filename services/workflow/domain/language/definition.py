"""The definition of a workflow, as its author wrote it. `parsing.parse_definition` makes one from untrusted data."""

import re
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from services.workflow import limits
from services.workflow.domain.language.concurrency import Concurrency
from services.workflow.domain.language.exposure import Exposure
from services.workflow.domain.language.fields import (
    Expression,
    RetentionDays,
    RetryCount,
    Slug,
    StepName,
    Text,
    TimeoutSeconds,
    Title,
    Version,
)
from services.workflow.domain.language.retry import Backoff, RetrySettings
from services.workflow.domain.language.steps import Step

_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")


class _Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class ManualTrigger(_Trigger, frozen=True, kw_only=True, tag_field="type", tag="manual"):
    """Started by a call."""


class EventTrigger(_Trigger, frozen=True, kw_only=True, tag_field="type", tag="event"):
    """Started by each event on a NATS subject (`*` and `>` as NATS has them) for which the condition holds.

    `condition` and `input` (the execution's input, a template; default: the event's data) see `event` and `tenant`.
    """

    subject: Annotated[str, Meta(min_length=1, max_length=limits.MAX_SUBJECT_CHARS)]
    condition: Expression | None = None
    input: Any = None


class ScheduleTrigger(_Trigger, frozen=True, kw_only=True, tag_field="type", tag="schedule"):
    """Started by the clock: five cron fields, read in a time zone of the IANA database.

    `missed` says what becomes of moments at which the platform did not run: `skip` them, make `one` run for all of
    them, or `all`. `condition` and `input` (default: an empty object) see `schedule` and `tenant`.
    """

    cron: Annotated[str, Meta(min_length=1, max_length=limits.MAX_CRON_CHARS)]
    timezone: Annotated[str, Meta(min_length=1, max_length=limits.MAX_TIMEZONE_CHARS)] = "UTC"
    missed: Literal["skip", "one", "all"] = "one"
    condition: Expression | None = None
    input: Any = None


class WebhookTrigger(_Trigger, frozen=True, kw_only=True, tag_field="type", tag="webhook"):
    """Started by signed HTTP requests to an address of its own.

    `name` tells the webhooks of a workflow apart: it keeps address and key as long as it stays. `condition` and `input`
    (default: the request's body) see `event` and `tenant`.
    """

    name: StepName = "webhook"
    condition: Expression | None = None
    input: Any = None


Trigger: TypeAlias = ManualTrigger | EventTrigger | ScheduleTrigger | WebhookTrigger

TRIGGER_TYPES: dict[str, type[Trigger]] = {
    str(trigger_type.__struct_config__.tag): trigger_type
    for trigger_type in (ManualTrigger, EventTrigger, ScheduleTrigger, WebhookTrigger)
}


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A workflow definition. Encodes to what was written; defaults are left out."""

    name: Title
    slug: Slug | None = None
    description: Text = ""
    tags: Annotated[list[Title], Meta(max_length=limits.MAX_TAGS)] = msgspec.field(default_factory=list)
    category: Title | None = None
    version: Version = "1.0.0"
    steps: Annotated[list[Step], Meta(min_length=1, max_length=limits.MAX_STEPS)]
    triggers: Annotated[list[Trigger], Meta(max_length=limits.MAX_TRIGGERS)] = msgspec.field(default_factory=list)
    input_schema: dict[str, Any] | None = None
    output: Any = None
    search_attributes: Annotated[dict[str, Any], Meta(max_length=limits.MAX_ATTRIBUTES)] = msgspec.field(
        default_factory=dict
    )
    timeout_seconds: TimeoutSeconds = limits.DEFAULT_EXECUTION_TIMEOUT_SECONDS
    max_retries: RetryCount | None = None
    retry_strategy: Backoff | None = None
    retry: RetrySettings | None = None
    retention_days: RetentionDays | None = None
    concurrency: Concurrency | None = None
    expose_as_tool: bool | Exposure = False

    def effective_slug(self) -> str:
        """Return the slug, or the one that the name gives (`workflow` if the name has no letters for one)."""
        return self.slug or _NOT_IN_SLUG.sub("-", self.name.lower()).strip("-") or "workflow"
