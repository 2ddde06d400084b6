"""How a server is reached, and what a deployment lets be started."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence

import msgspec

from services.mcp_gateway.domain.server_auth import ClientCredentials
from services.mcp_gateway.errors import CommandNotAllowed, ServerUnavailable
from services.mcp_gateway.limits import (
    ENTRY_SHOWN_MAX_CHARS,
    PROCESS_COUNT,
    PROCESS_CPU_SECONDS,
    PROCESS_DATA_BYTES,
    PROCESS_FILE_BYTES,
    PROCESS_OPEN_FILES,
)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8192}")
_OWN_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "upgrade",
    }
)
_PACKAGE_RUNNERS = frozenset({"npx", "uvx"})
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


class ProcessLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a server process may use (setrlimit(2)); each is capped by the gateway's own hard limit."""

    cpu_seconds: int = PROCESS_CPU_SECONDS
    data_bytes: int = PROCESS_DATA_BYTES
    open_files: int = PROCESS_OPEN_FILES
    file_bytes: int = PROCESS_FILE_BYTES
    processes: int = PROCESS_COUNT

    def as_rlimits(self) -> dict[str, int]:
        return {
            "RLIMIT_CPU": self.cpu_seconds,
            "RLIMIT_DATA": self.data_bytes,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_CORE": 0,
        }


class StdioLaunch(msgspec.Struct, frozen=True, tag_field="transport", tag="stdio", forbid_unknown_fields=True):
    """A server that is a process of ours. `env` is all that it gets besides PATH, HOME, TMPDIR and LANG.

    It works in an empty folder of its own, which goes when the session ends.
    """

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    limits: ProcessLimits = ProcessLimits()


class BundledLaunch(StdioLaunch, frozen=True, tag="bundled", forbid_unknown_fields=True):
    """One of our own servers, which a deployment need not allow. No tenant's description leads to one."""


class HttpLaunch(msgspec.Struct, frozen=True, tag_field="transport", tag="streamable_http", forbid_unknown_fields=True):
    """A server elsewhere, reached by streamable HTTP. `headers` carry its credentials, already resolved."""

    url: str
    headers: dict[str, str] = {}
    auth: ClientCredentials | None = None

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if _HEADER.fullmatch(name) is None or name.lower() in _OWN_HEADERS or name.lower().startswith("mcp-"):
                raise ValueError(
                    f"the header {name[:80]!r} cannot be set: the connection itself needs it, or it is none"
                )
            if _HEADER_VALUE.fullmatch(value) is None:
                raise ValueError(f"the value of the header {name!r} has characters that a header cannot have")


class SseLaunch(HttpLaunch, frozen=True, tag="sse", forbid_unknown_fields=True):
    """A server elsewhere that speaks HTTP with SSE, as of 2024-11-05. `url` is that of its stream."""


LaunchSpec = StdioLaunch | BundledLaunch | HttpLaunch | SseLaunch


def bundled(name: str, *args: str, env: dict[str, str] | None = None) -> BundledLaunch:
    """The launch of one of our own servers, such as `bundled("calculator")`."""
    return BundledLaunch(
        command=sys.executable,
        args=("-m", f"services.mcp_gateway.servers.{name}", *args),
        env=env if env is not None else {},
    )


class CommandAllowList:
    """The command lines that a deployment lets be started.

    An entry is the beginning of a command line: `npx` allows npx with any arguments, `npx -y @acme/server` only that
    package. Interpreters should be listed with their first arguments, else they allow everything.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = [tuple(shlex.split(entry)) for entry in entries]

    def resolve(self, launch: StdioLaunch) -> list[str]:
        """Return the command line with an absolute command. Raises `CommandNotAllowed` or `ServerUnavailable`."""
        words = (launch.command, *launch.args)
        if not any(entry and words[: len(entry)] == entry for entry in self._entries):
            missing = _entry_for(words)
            raise CommandNotAllowed(
                f"This deployment does not allow the command {launch.command!r} with these arguments: "
                f"AGENTIC_MCP_GATEWAY_COMMANDS has no entry such as `{missing}`.",
                details={"command": launch.command, "missing_entry": missing},
            )
        if any("\0" in word for word in words):
            raise CommandNotAllowed("A command line cannot hold NUL characters.")
        path = shutil.which(launch.command, path=_path())
        if path is None:
            raise ServerUnavailable(
                f"The command {launch.command!r} is not installed here.", details={"command": launch.command}
            )
        return [os.path.abspath(path), *launch.args]  # noqa: PTH100 - resolving links would break virtual environments


def _entry_for(words: Sequence[str]) -> str:
    """Return the entry that would allow a command line: of one that runs a package, up to the package."""
    if words[0] in _PACKAGE_RUNNERS:
        package = next((at for at, word in enumerate(words[1:], 1) if not word.startswith("-")), len(words) - 1)
        words = words[: package + 1]
    return shlex.join(words)[:ENTRY_SHOWN_MAX_CHARS]


def environment(launch: StdioLaunch, home: str) -> dict[str, str]:
    """Return the whole environment of the server. Raises `CommandNotAllowed` for a variable that steers the loader."""
    for name, value in launch.env.items():
        if _VARIABLE.fullmatch(name) is None or "\0" in value:
            raise CommandNotAllowed(f"{name[:128]!r} is no environment variable.")
        if name == "PATH" or name.startswith("LD_"):
            raise CommandNotAllowed(f"The environment variable {name!r} decides what runs; it cannot be set.")
    return {"LANG": "C.UTF-8", "HOME": home, "TMPDIR": home, **launch.env, "PATH": _path()}


def _path() -> str:
    return os.environ.get("PATH", _DEFAULT_PATH)
