"""A call of a tool: what is asked, how it ended, and what follows from the tool's own declaration."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.screening import Finding
from services.mcp_gateway.limits import CALL_DETAILS_MAX_BYTES, CALL_TEXT_MAX_CHARS
from shared.errors import FieldFault

NOT_SENT = frozenset({"server_unavailable", "server_busy", "unavailable", "rate_limited"})
"""Codes of ends that precede any sending."""

OPEN = frozenset({"tool_timeout", "tool_cancelled", "tool_interrupted", "server_died", "protocol_violation"})
"""Codes of ends after which it is not known whether the tool acted."""

RETRYABLE = NOT_SENT | {"tool_timeout", "server_died"}
"""Codes after which the same call may succeed later, if the tool may be repeated."""


class CallRequest(msgspec.Struct, frozen=True):
    """One call as asked for. `id` names it for ever: asking again under the same id is not a second call.

    It has until `deadline` (Unix time, seconds), from which the server's start counts too; `timeout_seconds` are the
    tool's alone. `result_max_bytes` bounds the output as JSON. `secret_paths` are the places of `arguments` whose texts
    name secrets, which are filled in when they are sent and never recorded.
    """

    id: UUID
    server: str
    tool_name: str
    arguments: dict[str, Any]
    timeout_seconds: float | None = None
    deadline: float | None = None
    result_max_bytes: int | None = None
    agent_id: UUID | None = None
    conversation_id: UUID | None = None
    task_id: str | None = None
    correlation_id: str | None = None
    attempt: int = 1
    parent_id: UUID | None = None
    profile: str | None = None
    secret_paths: tuple[tuple[str | int, ...], ...] = ()


class CallFailure(msgspec.Struct, frozen=True):
    """Why a call has no result."""

    code: str
    message: str
    retryable: bool = False
    details: dict[str, Any] = {}
    faults: list[FieldFault] = []


class CallOutcome(msgspec.Struct, frozen=True):
    """How a call ended. Exactly one of `result` and `failure` counts. `response_ms` is the server's part.

    `position` is that of its end in the log, if that was on disk before the caller heard of it. `answer` is what the
    server wrote, if this very call got an answer from an MCP server. `findings` are what the screening of the result
    found. `attempts` counts how often the gateway tried it.
    """

    id: UUID
    server_id: UUID
    tool_name: str
    started_at: dt.datetime
    completed_at: dt.datetime
    duration_ms: float
    result: Any = None
    failure: CallFailure | None = None
    response_ms: float | None = None
    position: int | None = None
    answer: msgspec.Raw | None = None
    findings: tuple[Finding, ...] = ()
    attempts: int = 1


def as_sent(failure: CallFailure) -> CallFailure:
    """Return the failure of a call that was sent to a tool that acts: nobody repeats that without having said so."""
    if failure.code not in OPEN:
        return failure
    message = (
        f"{failure.message} Whether the tool acted is not known, so nobody calls it again by themselves; a step may "
        f"name `{failure.code}` in `retry_on` to repeat it all the same."
    )
    return msgspec.structs.replace(failure, message=message, retryable=False)


def may_be_repeated(annotations: dict[str, Any] | None) -> bool:
    """Whether a tool declares that calling it twice does no more than calling it once.

    MCP: `readOnlyHint` and `idempotentHint`, both false unless the server says otherwise.
    """
    if annotations is None:
        return False
    return annotations.get("readOnlyHint") is True or annotations.get("idempotentHint") is True


def output_of(content: list[dict[str, Any]], structured: dict[str, Any] | None) -> Any:
    """Return what a call gives its caller: the structured result if there is one, else the content and its text."""
    if structured is not None:
        return structured
    return {"content": content, "text": text_of(content)}


def text_of(content: list[dict[str, Any]]) -> str:
    """Return the text parts of a result, line by line."""
    return "\n".join(str(part.get("text", "")) for part in content if part.get("type") == "text")


def tool_said(content: list[dict[str, Any]], structured: dict[str, Any] | None) -> CallFailure:
    """Read a result that the tool marks as an error. It is retryable only if its structured part says so.

    A reason is for people and models to read: of a long one the beginning is kept, of large details nothing.
    """
    said = (structured or {}).get("error")
    details: dict[str, Any] = said if isinstance(said, dict) else {}
    message = text_of(content) or str(details.get("message", "")) or "The tool failed and did not say why."
    retryable = details.get("retryable") is True
    if len(msgspec.json.encode(details)) > CALL_DETAILS_MAX_BYTES:
        details = {}
    return CallFailure("tool_error", message[:CALL_TEXT_MAX_CHARS], retryable=retryable, details=details)
