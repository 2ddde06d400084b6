"""Steps that wait, holding no worker: for a time, for a signal, for a person."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from services.workflow import limits
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.fields import Text
from services.workflow.domain.language.input_schema import compile_schema
from services.workflow.domain.language.schema_work import SchemaInvalid
from services.workflow.domain.language.steps.base import Branch, StepBase
from shared.errors import FieldFault

if TYPE_CHECKING:
    from services.workflow.domain.language.steps import Step

ON_TIMEOUT = "on_timeout"


class DelayStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="delay"):
    """Waits for `seconds`, or `until` a time (RFC 3339, with its offset). Either may be a template."""

    seconds: int | float | str | None = None
    until: Text | None = None

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, **self.payload()}

    def payload(self) -> dict[str, Any]:
        return {"seconds": self.seconds} if self.until is None else {"until": self.until}

    def faults(self, path: str) -> Iterator[FieldFault]:
        if (self.seconds is None) == (self.until is None):
            yield fault(f"{path}.seconds", "a delay has either 'seconds' or 'until'", "bad_delay")
        elif isinstance(self.seconds, str) and "{" not in self.seconds:
            yield fault(f"{path}.seconds", "a number, or a template that gives one, is expected", "bad_delay")
        elif not isinstance(self.seconds, str | None) and not 0 <= self.seconds <= limits.MAX_DELAY_SECONDS:
            yield fault(f"{path}.seconds", f"a delay is from 0 to {limits.MAX_DELAY_SECONDS:,} seconds", "bad_delay")
        elif self.until is not None and "{" not in self.until and not _is_time(self.until):
            yield fault(f"{path}.until", "a time with its offset is expected: 2026-01-31T09:00:00Z", "bad_delay")


class WaitForEventStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="wait_for_event"):
    """Waits for a signal by name; its output is what the signal carries. One that came before is taken at once.

    After `timeout_seconds` the steps of `on_timeout` run instead, or the step fails with `step_timeout`.
    """

    event: Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME_CHARS)]
    on_timeout: "Step | list[Step]" = msgspec.field(default_factory=list)

    holds = (Branch(ON_TIMEOUT), *StepBase.holds)

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, "event": self.event}

    def payload(self) -> dict[str, Any]:
        return {"event": self.event}

    def faults(self, path: str) -> Iterator[FieldFault]:
        yield from _needs_timeout(self, path)


class ApprovalStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="approval"):
    """Waits for a person's decision: `{approved, decision, decided_by, comment, data}`.

    `assignees` are who may decide (`user:<id>`; none: whoever may run workflows). `form_schema` (JSON Schema) is what
    the decision's data has to fit. After `timeout_seconds` the steps of `on_timeout` run instead, or it fails.
    """

    title: Text = ""
    message: Text = ""
    assignees: Annotated[list[str], Meta(max_length=limits.MAX_ASSIGNEES)] = msgspec.field(default_factory=list)
    form_schema: dict[str, Any] | None = None
    on_timeout: "Step | list[Step]" = msgspec.field(default_factory=list)

    holds = (Branch(ON_TIMEOUT), *StepBase.holds)

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, **self.payload()}

    def payload(self) -> dict[str, Any]:
        return {"title": self.title, "message": self.message, "assignees": self.assignees}

    def faults(self, path: str) -> Iterator[FieldFault]:
        yield from _needs_timeout(self, path)
        if self.form_schema is not None:
            try:
                compile_schema(self.form_schema)
            except SchemaInvalid as error:
                yield fault(f"{path}.form_schema", f"not a JSON Schema that can be used: {error}", "bad_schema")


def _needs_timeout(step: WaitForEventStep | ApprovalStep, path: str) -> Iterator[FieldFault]:
    if step.on_timeout and step.timeout_seconds is None:
        yield fault(f"{path}.timeout_seconds", "'on_timeout' needs a time after which it runs", "missing_field")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
