"""The steps of a definition, one struct per type. A new type is a new struct here and its name in `Step`."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from services.workflow import limits
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.fields import (
    Expression,
    Mapping,
    Priority,
    RetryCount,
    StepName,
    Text,
    TimeoutSeconds,
)
from services.workflow.domain.language.retry import RetrySettings
from services.workflow.domain.language.statuses import status_ranges
from shared.errors import FieldFault


class Branch(msgspec.Struct, frozen=True):
    """A field that holds steps: the role that they have, and whether they run all at once."""

    field: str
    role: str
    concurrent: bool = False


class StepBase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every step has. The class variables and methods tell the validator and the compiler about a type."""

    name: StepName
    input: Any = msgspec.field(default_factory=dict)
    output_mapping: Mapping = msgspec.field(default_factory=dict)
    max_retries: RetryCount | None = None
    retry: RetrySettings | None = None
    timeout_seconds: TimeoutSeconds | None = None
    priority: Priority = limits.DEFAULT_PRIORITY
    when: Expression | None = None
    on_error: Literal["fail", "continue"] = "fail"

    branches: ClassVar[tuple[Branch, ...]] = ()
    # A worker does it: the definition's retries and the task timeout apply to it.
    is_task: ClassVar[bool] = False
    # The fields whose templates may hold {secret.NAME}: only what goes to a worker and nowhere else.
    secret_fields: ClassVar[frozenset[str]] = frozenset()

    @property
    def type(self) -> str:
        """The name of the step's type, as definitions write it."""
        return str(self.__struct_config__.tag)

    def steps_in(self, branch: Branch) -> tuple["Step", ...]:
        """Return the steps of a branch: a single step counts as a list of one."""
        held = getattr(self, branch.field)
        return tuple(held) if isinstance(held, list) else (held,)

    def templates(self) -> dict[str, Any]:
        """Return the fields that are templates, by name."""
        return {"input": self.input}

    def conditions(self) -> dict[str, str]:
        """Return the fields that are conditions, by name."""
        return {} if self.when is None else {"when": self.when}

    def payload(self) -> dict[str, Any] | None:
        """Return the template of what the step does, for the worker or the engine; None if `input` says it all."""
        return None

    def faults(self, path: str) -> Iterator[FieldFault]:  # noqa: ARG002 - types with rules of their own use it
        """Yield what is wrong by the type's own rules; `path` is where the step stands."""
        yield from ()


class McpToolStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="mcp_tool"):
    """Calls a tool of an MCP server (by id or slug) with `input` as its arguments."""

    server_id: Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME_CHARS)]
    tool_name: Annotated[str, Meta(min_length=1, max_length=limits.MAX_TOOL_NAME_CHARS)]

    is_task = True
    secret_fields = frozenset({"input"})

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, "server_id": self.server_id, "tool_name": self.tool_name}

    def payload(self) -> dict[str, Any]:
        return {"server_id": self.server_id, "tool_name": self.tool_name, "arguments": self.input}

    def faults(self, path: str) -> Iterator[FieldFault]:
        if not isinstance(self.input, dict | str):
            yield fault(f"{path}.input", "a tool's arguments are an object", "wrong_type")


class HttpStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """Sends an HTTP request. A status outside `ok_statuses` (numbers and ranges such as "200-399") fails the step."""

    url: Annotated[str, Meta(min_length=1, max_length=limits.MAX_TEXT_CHARS)]
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query: dict[str, Any] = msgspec.field(default_factory=dict)
    body: Any = None
    ok_statuses: list[int | str] = msgspec.field(default_factory=lambda: ["200-399"])

    is_task = True
    secret_fields = frozenset({"url", "headers", "query", "body"})

    def templates(self) -> dict[str, Any]:
        return {
            "input": self.input,
            "url": self.url,
            "headers": self.headers,
            "query": self.query,
            "body": self.body,
        }

    def payload(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "url": self.url,
            "headers": self.headers,
            "query": self.query,
            "body": self.body,
            "ok_statuses": [list(pair) for pair in status_ranges(self.ok_statuses)],
            "timeout_seconds": self.timeout_seconds or limits.DEFAULT_TASK_TIMEOUT_SECONDS,
        }

    def faults(self, path: str) -> Iterator[FieldFault]:
        try:
            status_ranges(self.ok_statuses)
        except ValueError as error:
            yield fault(f"{path}.ok_statuses", str(error), "bad_statuses")


class ConditionalStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="conditional"):
    """Takes the branch that its condition chooses; without `if_false`, a false condition does nothing."""

    condition: Expression
    if_true: "Step | list[Step]"
    if_false: "Step | list[Step]" = msgspec.field(default_factory=list)

    branches = (Branch("if_true", "branch:if_true"), Branch("if_false", "branch:if_false"))

    def conditions(self) -> dict[str, str]:
        return {**super().conditions(), "condition": self.condition}

    def faults(self, path: str) -> Iterator[FieldFault]:
        if not self.steps_in(self.branches[0]):
            yield fault(f"{path}.if_true", "a branch that is taken has at least one step", "no_steps")


class ParallelStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="parallel"):
    """Runs its steps at once and waits for `all`, `any` or `count:N` of them."""

    steps: "list[Step]"
    wait_for: Annotated[str, Meta(extra_json_schema={"pattern": "^(all|any|count:[1-9][0-9]{0,3})$"})] = "all"

    branches = (Branch("steps", "parallel", concurrent=True),)

    def quorum(self) -> int:
        """Return how many steps have to complete. Raises `ValueError` for what `faults` reports."""
        if self.wait_for in {"all", "any"}:
            return len(self.steps) if self.wait_for == "all" else 1
        word, _, number = self.wait_for.partition(":")
        if word == "count" and number.isascii() and number.isdigit() and 1 <= int(number[:5]) <= len(self.steps):
            return int(number)
        raise ValueError(f"wait_for is 'all', 'any' or 'count:N' with N from 1 to {len(self.steps)}")

    def faults(self, path: str) -> Iterator[FieldFault]:
        if not self.steps:
            yield fault(f"{path}.steps", "a parallel step has at least one step", "no_steps")
            return
        try:
            self.quorum()
        except ValueError as error:
            yield fault(f"{path}.wait_for", str(error), "bad_wait_for")


class TransformStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="transform"):
    """Builds a value from templates alone: its rendered `input` is its output."""


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


Step: TypeAlias = McpToolStep | HttpStep | ConditionalStep | ParallelStep | TransformStep | DelayStep

STEP_TYPES: dict[str, type[Step]] = {
    str(step_type.__struct_config__.tag): step_type
    for step_type in (McpToolStep, HttpStep, ConditionalStep, ParallelStep, TransformStep, DelayStep)
}


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
