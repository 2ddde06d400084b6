"""What a command can fail with, besides what the platform itself answers."""

from typing import Any

from infra.local.errors import BadEnvironment, PortTaken
from shared.errors import FieldFault, PlatformError


def reason(error: BaseException) -> str:
    """Return what an exception of a library says, or its name where it says nothing (time-outs)."""
    return str(error) or type(error).__name__


class NotRunning(PlatformError):
    """No platform runs on the data directory, and none was named by its address."""

    code = "not_running"


class NotOurs(PlatformError):
    """The data directory belongs to another user."""

    code = "not_ours"


class BadFile(PlatformError):
    """A file that was named cannot be read as what it should hold."""

    code = "bad_file"


class BadInput(PlatformError):
    """An argument is not what it must be."""

    code = "bad_input"


class WorkflowUnknown(PlatformError):
    """No workflow of the tenant has this slug."""

    code = "workflow_not_found"


class ApiRefused(PlatformError):
    """The API answered with an error: its own code, sentence and faults."""

    def __init__(self, status: int, code: str, message: str, faults: list[FieldFault], details: dict[str, Any]) -> None:
        super().__init__(message, details=details, faults=faults)
        self.status = status
        self.code = code


class Unreachable(PlatformError):
    """Nothing answers at the platform's address."""

    code = "unreachable"


def exit_code(error: PlatformError) -> int:
    """Return 2 for what the caller has to say differently, 1 for what could not be done."""
    return 2 if isinstance(error, BadEnvironment | PortTaken | BadFile | BadInput) else 1
