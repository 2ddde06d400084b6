"""What can go wrong between the gateway and an MCP server, by stable code."""

from uuid import UUID

from services.mcp_gateway.domain.call import CallFailure
from shared.errors import Conflict, PlatformError


class ToolNotFound(PlatformError):
    """The server has no tool of this name."""

    code = "tool_not_found"


class ToolQuarantined(PlatformError):
    """Nobody approved the tool as its server describes it now; `details` say why it waits."""

    code = "tool_quarantined"


class DefinitionChanged(Conflict):
    """The definition that was to be approved is another one by now. `details.pending_hash` is what waits."""

    code = "definition_changed"


class ResultFlagged(PlatformError):
    """The result holds text aimed at the model, and the server's owner wants no such result passed on."""

    code = "result_flagged"


class ToolError(PlatformError):
    """The server answered the call with a protocol-level error. `details.rpc_code` is the JSON-RPC code."""

    code = "tool_error"


class ToolTimeout(PlatformError):
    """No answer within the call's time. The server was told to stop; whether the tool acted is not known."""

    code = "tool_timeout"


class ServerDied(PlatformError):
    """The server's process ended or its connection broke while the call ran; whether the tool acted is not known."""

    code = "server_died"


class ServerUnavailable(PlatformError):
    """The server could not be started or reached; the call was not sent. `retry_after` is set while backing off."""

    code = "server_unavailable"


class ServerBusy(PlatformError):
    """A bound of the gateway is reached: sessions of the tenant, or calls that wait for one session."""

    code = "server_busy"


class ProtocolViolation(PlatformError):
    """The server sent something that is no MCP: its session was ended."""

    code = "protocol_violation"


class ResultTooLarge(PlatformError):
    """The tool's result is above the limit; it was read and dropped."""

    code = "result_too_large"


class ArgumentsInvalid(PlatformError):
    """The arguments do not fit the tool's input schema; `faults` say where."""

    code = "arguments_invalid"


class ArgumentsTooLarge(ArgumentsInvalid):
    """The arguments are more than is passed on, or nested deeper. They are not recorded either."""


class ToolSchemaInvalid(PlatformError):
    """The tool's own input schema is unusable: no JSON Schema, too large, or it points outside itself."""

    code = "tool_schema_invalid"


class CommandNotAllowed(PlatformError):
    """The deployment does not allow this command, or an environment variable that would change what it runs."""

    code = "command_not_allowed"


class ServerDisabled(Conflict):
    """The server is switched off in the registry."""

    code = "server_disabled"


class ToolDenied(PlatformError):
    """A config does not allow this tool; `details.config_id` names it, `details.why` its field."""

    code = "tool_denied"


class ConfigExists(Conflict):
    """The server has a config for this agent or profile, or for the whole tenant, already."""

    code = "config_exists"


class SlugTaken(Conflict):
    """The tenant has a server of this slug already."""

    code = "slug_taken"


class EntryExists(Conflict):
    """The catalogue has an entry of this name already."""

    code = "entry_exists"


class NotInstallable(PlatformError):
    """The entry has no way to be installed here, or not the one that was chosen; `faults` say why, way by way."""

    code = "not_installable"


class ToolInterrupted(PlatformError):
    """The gateway ended while this call ran. Whether the tool acted is not known, so it was not called again."""

    code = "tool_interrupted"


class ToolCancelled(PlatformError):
    """The caller took the call back while it ran. The server was told; whether the tool acted is not known."""

    code = "tool_cancelled"


class CallFailed(PlatformError):
    """A call that failed, under the code of its failure. `details.execution_id` names it in the history."""

    def __init__(self, failure: CallFailure, execution_id: UUID) -> None:
        super().__init__(
            failure.message,
            details={**failure.details, "execution_id": str(execution_id), "retryable": failure.retryable},
            faults=failure.faults,
            retry_after=failure.details.get("retry_after"),
        )
        self.code = failure.code


STATUSES = {
    "tool_quarantined": 403,
    "tool_denied": 403,
    "tool_not_found": 404,
    "definition_changed": 409,
    "server_disabled": 409,
    "slug_taken": 409,
    "config_exists": 409,
    "entry_exists": 409,
    "arguments_invalid": 422,
    "address_refused": 422,
    "command_not_allowed": 422,
    "secret_not_found": 422,
    "secrets_unavailable": 422,
    "not_installable": 422,
    "tool_cancelled": 502,
    "tool_error": 502,
    "tool_interrupted": 502,
    "tool_schema_invalid": 502,
    "server_died": 502,
    "protocol_violation": 502,
    "result_flagged": 502,
    "result_too_large": 502,
    "server_busy": 503,
    "server_unavailable": 503,
    "tool_timeout": 504,
}
"""HTTP statuses of the gateway's codes, beside those that every service has."""
