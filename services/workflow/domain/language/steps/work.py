"""Steps that a worker does."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from services.workflow import limits
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.input_schema import compile_schema
from services.workflow.domain.language.schema_work import SchemaInvalid
from services.workflow.domain.language.statuses import status_ranges
from services.workflow.domain.language.steps.base import StepBase
from shared.errors import FieldFault

_Name = Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME_CHARS)]


class McpToolStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="mcp_tool"):
    """Calls a tool of an MCP server (by id or slug) with `input` as its arguments."""

    server_id: _Name
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


class AgentStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="agent"):
    """Gives an agent (by id or slug) a task: `input.instruction`, and what it should know as `input.context`.

    With an `output_schema` (JSON Schema) the agent answers with JSON that fits it.
    """

    agent_id: _Name
    output_schema: dict[str, Any] | None = None

    is_task = True
    task_timeout_seconds = limits.DEFAULT_AGENT_TIMEOUT_SECONDS

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, "agent_id": self.agent_id}

    def payload(self) -> dict[str, Any]:
        schema = {} if self.output_schema is None else {"output_schema": self.output_schema}
        return {"agent_id": self.agent_id, "input": self.input, **schema}

    def faults(self, path: str) -> Iterator[FieldFault]:
        if not isinstance(self.input, dict) or not self.input.get("instruction"):
            yield fault(f"{path}.input", "an agent is told what to do: input.instruction", "no_instruction")
        if self.output_schema is not None:
            try:
                compile_schema(self.output_schema)
            except SchemaInvalid as error:
                yield fault(f"{path}.output_schema", f"not a JSON Schema that can be used: {error}", "bad_schema")


class RagQueryStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="rag_query"):
    """Retrieves the `top_k` best passages for a query from a collection (by id or slug)."""

    collection: _Name
    query: Annotated[str, Meta(min_length=1, max_length=limits.MAX_TEXT_CHARS)]
    top_k: Annotated[int, Meta(ge=1, le=limits.MAX_TOP_K)] = 5
    filter: dict[str, Any] = msgspec.field(default_factory=dict)

    is_task = True

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, "collection": self.collection, "query": self.query, "filter": self.filter}

    def payload(self) -> dict[str, Any]:
        return {"collection": self.collection, "query": self.query, "top_k": self.top_k, "filter": self.filter}


class WorkflowStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="workflow"):
    """Runs another workflow (by id or slug) on `input`, as a child with its own history; its output is the child's.

    The child ends within its own `timeout_seconds`, and is cancelled when this step no longer needs it.
    """

    workflow: _Name

    is_task = True
    task_timeout_seconds = None

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, "workflow": self.workflow}

    def payload(self) -> dict[str, Any]:
        return {"workflow": self.workflow, "input": self.input}
