"""The command `agentic`."""

import importlib
import os
import sys
from typing import Any

import click

from infra.cli import output
from infra.cli.errors import exit_code
from shared.errors import PlatformError

# Each command and where it is: a module is imported when its command is used, so that `--help` and errors are quick.
_COMMANDS = {
    "up": ("infra.cli.serve", "up"),
    "demo": ("infra.cli.demo", "demo"),
    "url": ("infra.cli.url", "url"),
    "token": ("infra.cli.token", "token"),
    "workflows": ("infra.cli.workflows", "workflows"),
    "executions": ("infra.cli.listing", "executions"),
    "approvals": ("infra.cli.approvals", "approvals"),
    "mcp": ("infra.cli.mcp", "mcp"),
    "secrets": ("infra.cli.secrets", "secrets"),
    "stats": ("infra.cli.stats", "stats"),
    "events": ("infra.cli.events", "events"),
    "projections": ("infra.cli.projections", "projections"),
    "doctor": ("infra.cli.doctor", "doctor"),
}
_USAGE = "usage"
_INTERRUPTED = 130


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: Any = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=output.examples("agentic up", "agentic workflows run FILE", "agentic <command> --help"),
)
@click.version_option(package_name="agentic-platform")
def agentic() -> None:
    """Run the platform on this machine, and work with one that runs.

    \b
    AGENTIC_DATA_DIR   where a platform keeps its data (.agentic)
    AGENTIC_HTTP_PORT  its port (8000, or the next free one)
    AGENTIC_URL, AGENTIC_TOKEN  work with a platform elsewhere

    Exit codes: 0 done, 1 not done (stderr says why), 2 called wrongly, 130 interrupted.
    """  # noqa: D301 - \b is click's mark for lines that are not to be rewrapped


def main() -> None:
    """Run the command line; however it ends, it says why in one line and with the code that `--help` names."""
    as_json = "--json" in sys.argv
    try:
        sys.exit(agentic.main(prog_name="agentic", standalone_mode=False))
    except click.ClickException as error:
        if as_json:
            output.report_of(_USAGE, error.format_message(), as_json=True)
        else:
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except PlatformError as error:
        output.report(error, as_json=as_json)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        output.report_of("os_error", f"{error.strerror or error}{where}.", as_json=as_json)
        sys.exit(1)


if __name__ == "__main__":
    main()
