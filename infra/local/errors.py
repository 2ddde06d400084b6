"""What can keep the platform from starting on this machine."""

from shared.errors import PlatformError


class PortTaken(PlatformError):
    """The HTTP port that was asked for is in use by something else."""

    code = "port_taken"


class AlreadyRunning(PlatformError):
    """Another supervisor owns this data directory."""

    code = "already_running"


class StartFailed(PlatformError):
    """A process ended or did not answer in time while starting; the message carries the end of its log."""

    code = "start_failed"


class BadEnvironment(PlatformError):
    """An `AGENTIC_*` variable holds something unusable."""

    code = "bad_environment"
