"""The codes that steps can fail with, for what a definition says of them (`retry_on`, `never_on`)."""

from collections.abc import Mapping
from types import MappingProxyType

ANY_STEP = "any step"
WORKERS_STEP = "a worker's step"
EXECUTION = "execution"

_OF_ANY_STEP = (
    "template_unresolved", "template_too_large", "template_filter_failed", "template_secret_misplaced",
    "mapping_unresolved", "expression_too_costly", "payload_too_large", "result_too_large", "result_bad_text",
    "nesting_too_deep", "step_timeout",
)  # fmt: skip
_OF_MCP_TOOL = (
    "tool_not_found", "tool_denied", "tool_quarantined", "server_disabled", "arguments_invalid", "tool_schema_invalid",
    "tool_error", "result_flagged", "tool_timeout", "tool_cancelled", "tool_interrupted", "server_died",
    "protocol_violation", "server_unavailable", "server_busy", "rate_limited", "forbidden",
)  # fmt: skip
_OF_WORKFLOW = (
    "concurrency_limit", "concurrency_queue_full", "concurrency_key_invalid", "child_failed", "child_too_deep",
    "workflow_not_found", "workflow_not_active", "input_invalid", "invalid_input",
)  # fmt: skip
_OF_SECRETS = ("secret_not_found", "secrets_unavailable", "too_large")
_OF_HTTP = ("http_status", "http_timeout", "http_failed", "http_request_invalid", "address_refused")

# Code -> who can fail with it: types of steps, or one of the three words above. The documentation has the same table.
ERROR_CODES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{code: frozenset({ANY_STEP}) for code in _OF_ANY_STEP},
        **{code: frozenset({"mcp_tool"}) for code in _OF_MCP_TOOL},
        **{code: frozenset({"http"}) for code in _OF_HTTP},
        **{code: frozenset({"workflow"}) for code in _OF_WORKFLOW},
        "agent_failed": frozenset({"agent"}),
        "bad_items": frozenset({"foreach"}),
        "bad_delay": frozenset({"delay"}),
        "bad_assignees": frozenset({"approval"}),
        "bad_wait_name": frozenset({"approval", "wait_for_event"}),
        "bad_subject": frozenset({"emit"}),
        "bad_event_type": frozenset({"emit"}),
        **{code: frozenset({"mcp_tool", "http"}) for code in _OF_SECRETS},
        "worker_failed": frozenset({WORKERS_STEP}),
        "unavailable": frozenset({WORKERS_STEP}),
        **{
            code: frozenset({EXECUTION})
            for code in ("timeout", "history_too_long", "definition_unreadable", "compensation_failed")
        },
    }
)


def can_fail_with(step_type: str, code: str) -> bool:
    """Return whether a worker's step of this type can fail with a code of `ERROR_CODES`."""
    return bool(ERROR_CODES[code] & {ANY_STEP, WORKERS_STEP, step_type})
