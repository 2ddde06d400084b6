"""What a local platform is started with."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from infra import services
from infra.local.errors import BadEnvironment
from infra.local.limits import WORKFLOW_PROCESSES_MAX

_HIGHEST_PORT = 65535
WORKFLOW_PROCESSES = "AGENTIC_WORKFLOW_PROCESSES"


class ServiceProgram(msgspec.Struct, frozen=True):
    """A service: the module whose `main()` serves until SIGTERM, and what is imported before it is forked."""

    name: str
    module: str
    preload: tuple[str, ...] = ()


def installed_programs() -> tuple[ServiceProgram, ...]:
    return tuple(
        ServiceProgram(name, f"services.{name}.__main__", (f"services.{name}.bootstrap",))
        for name in services.installed()
    )


class Options(msgspec.Struct, frozen=True):
    """`http_port` None: 8000 or the next free one. `nats_url`, `postgres_dsn` given: nothing embedded is started.

    `workflow_processes` share the executions; the edge asks the first one, which any of them could be.
    `postgres_dsn` is an administrator's: it makes the logins of the services. `environment` is what the services
    inherit, before what the supervisor sets for each.
    """

    data_dir: Path
    http_port: int | None = None
    nats_url: str | None = None
    postgres_dsn: str | None = None
    workflow_processes: int = 1
    programs: tuple[ServiceProgram, ...] = msgspec.field(default_factory=installed_programs)
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Options":
        """Read what is named like the fields: `AGENTIC_DATA_DIR`, `AGENTIC_WORKFLOW_PROCESSES` and so on."""
        return cls(
            data_dir=Path(environment.get("AGENTIC_DATA_DIR") or ".agentic"),
            http_port=_port(environment.get("AGENTIC_HTTP_PORT")),
            nats_url=environment.get("AGENTIC_NATS_URL") or None,
            postgres_dsn=environment.get("AGENTIC_POSTGRES_DSN") or None,
            workflow_processes=_processes(environment.get(WORKFLOW_PROCESSES)),
            environment=dict(environment),
        )


def _processes(text: str | None) -> int:
    """Return how many workflow processes a text asks for, 1 for none. Raises `BadEnvironment`."""
    if not text:
        return 1
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= WORKFLOW_PROCESSES_MAX:
        wanted = f"it must be a number from 1 to {WORKFLOW_PROCESSES_MAX}"
        raise BadEnvironment(f"{WORKFLOW_PROCESSES} is {text!r}: {wanted}.")
    return int(text)


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _HIGHEST_PORT:
        raise BadEnvironment(f"AGENTIC_HTTP_PORT is {text!r}: it must be a port number from 1 to {_HIGHEST_PORT}.")
    return int(text)
