"""From a server of the registry to the way it is started, and what may not be started."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import msgspec

import services
from services.mcp_gateway.adapters.mcp.launch import (
    BundledLaunch,
    CommandAllowList,
    HttpLaunch,
    LaunchSpec,
    SseLaunch,
    StdioLaunch,
    bundled,
    environment,
)
from services.mcp_gateway.adapters.mcp.model import Opening, Session
from services.mcp_gateway.adapters.mcp.opener import TransportOpener
from services.mcp_gateway.domain.server import BUNDLED, Server, ServerDefinition
from services.mcp_gateway.errors import CommandNotAllowed, ServerUnavailable
from shared.errors import FieldFault, Unprocessable
from shared.net.guard import guarded_client

# Variables by which an interpreter runs other code than its command line says: they would void the allow-list.
_STEERING = (
    "PYTHON",
    "NODE_",
    "NPM_CONFIG_",
    "BASH_",
    "PERL5",
    "RUBY",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "GIT_",
    "UV_",
    "PIP_",
    "XDG_",
)
# HOME and the XDG folders are where package runners look for settings, such as another index to take packages from.
_STEERING_WHOLE = frozenset({"ENV", "_JAVA_OPTIONS", "GCONV_PATH", "IFS", "SHELLOPTS", "HOME"})


def _nothing(_: Path) -> tuple[str, ...]:
    return ()


class BundledServer(msgspec.Struct, frozen=True):
    """A server that comes with the platform, as `services.mcp_gateway.servers.<module>`.

    `arguments` are what it is started with for a tenant, given the folder that is the tenant's own.
    """

    module: str
    name: str
    description: str
    arguments: Callable[[Path], tuple[str, ...]] = _nothing

    def definition(self) -> ServerDefinition:
        """Return the row of the registry. The command is what one would type; it is not what is run."""
        return ServerDefinition(
            name=self.name,
            slug=self.module,
            server_type="stdio",
            description=self.description,
            command="python",
            args=("-m", f"services.mcp_gateway.servers.{self.module}"),
            category=BUNDLED,
            author="agentic-platform",
            visibility="public",
        )

    def launch(self, folder: Path) -> BundledLaunch:
        """Return how it is run: by this interpreter, with this code, wherever the working directory is."""
        root = Path(services.__path__[0]).parent
        return bundled(self.module, *self.arguments(folder), env={"PYTHONPATH": str(root)})


def _files(folder: Path) -> tuple[str, ...]:
    return ("--create", "--root", str(folder / "files"))


def _database(folder: Path) -> tuple[str, ...]:
    # Among the tenant's files: a database is put there as every other file is.
    return ("--create", "--url", f"sqlite://{quote(str(folder / 'files' / 'database.sqlite3'))}")


BUNDLED_SERVERS = {
    server.module: server
    for server in (
        BundledServer("filesystem", "Filesystem", "Read, write, list and search the tenant's own files.", _files),
        BundledServer("database", "Database", "Read the tenant's own SQLite file, database.sqlite3.", _database),
        BundledServer("calculator", "Calculator", "Exact arithmetic: add, subtract, multiply, divide, power."),
    )
}


class Launcher:
    """What this deployment starts. A `SessionOpener`, and the check of a definition before it is kept.

    `tenants` is the folder that holds a folder for each tenant.
    """

    def __init__(self, commands: Sequence[str], allowed_hosts: frozenset[str], tenants: Path) -> None:
        self._allowed = CommandAllowList(commands)
        self._tenants = tenants
        # Our own servers have a list of their own: on the deployment's, tenants could use it with an environment.
        ours = [shlex.join((launch.command, *launch.args)) for launch in map(bundled, BUNDLED_SERVERS)]
        self._open_bundled = TransportOpener(CommandAllowList(ours))
        self._open = TransportOpener(self._allowed, lambda: guarded_client(allowed_hosts))

    async def __call__(self, launch: LaunchSpec, opening: Opening) -> Session:
        opener = self._open_bundled if isinstance(launch, BundledLaunch) else self._open
        return await opener(launch, opening)

    def launch_of(self, server: Server) -> LaunchSpec:
        """Return how to reach a server."""
        definition = server.definition
        if server.bundled:
            return BUNDLED_SERVERS[definition.slug].launch(self._folder_of(server.tenant_id))
        if definition.server_type == "stdio":
            _check_variables(definition.env_vars)  # again: configs override what was checked when it was registered
            return StdioLaunch(definition.command or "", definition.args, definition.env_vars)
        return _http_launch(definition)

    def _folder_of(self, tenant_id: UUID) -> Path:
        return self._tenants / str(tenant_id)

    def check(self, definition: ServerDefinition) -> None:
        """Raise `CommandNotAllowed` or `Unprocessable` for a server that would never be started here."""
        if definition.server_type != "stdio":
            _http_launch(definition)
            return
        _check_variables(definition.env_vars)
        launch = StdioLaunch(definition.command or "", definition.args, definition.env_vars)
        environment(launch, "/")
        try:
            self._allowed.resolve(launch)
        except ServerUnavailable:
            return  # allowed, and not installed on this replica: that shows when it is started


def _check_variables(names: Iterable[str]) -> None:
    for name in names:
        if name.upper().startswith(_STEERING) or name.upper() in _STEERING_WHOLE:
            raise CommandNotAllowed(f"The environment variable {name!r} decides what runs; it cannot be set.")


def _http_launch(definition: ServerDefinition) -> HttpLaunch:
    kind = SseLaunch if definition.server_type == "sse" else HttpLaunch
    try:
        return kind(definition.url or "", definition.config.headers, definition.config.auth)
    except ValueError as error:  # which names the header, and never its value
        raise Unprocessable(str(error), faults=[FieldFault("config.headers", str(error))]) from error


def read_commands(text: str) -> list[str]:
    """Read the deployment's comma-separated list of beginnings of command lines."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]
