"""What a command prints: for people, or as JSON for programs (`--json`). Results on stdout, the rest on stderr."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.errors import FieldFault, PlatformError

F = TypeVar("F", bound=Callable[..., Any])

# A pipe or a file has no width, and rich would assume 80 columns: wide enough that no line is broken there.
_PIPE_WIDTH = 240

stdout = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
stderr = Console(stderr=True, highlight=False)

_COLOURS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "red",
    "running": "cyan",
    "waiting": "yellow",
    "active": "green",
    "draft": "yellow",
    "archived": "dim",
}


def json_option(command: F) -> F:
    """Add `--json`, passed to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def examples(*lines: str) -> str:
    """Return a command's epilog: how it is called."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\b\n" + "\n".join((title, *(f"  {line}" for line in lines)))


def command(*arguments: str) -> str:
    """Return a command line that works in another terminal, in this folder, with the platform of this one."""
    own = Path(sys.argv[0])
    program = "agentic"
    if own.name == program and shutil.which(program) is None:
        program = os.path.relpath(own)
    folder = os.environ.get("AGENTIC_DATA_DIR")
    before = f"AGENTIC_DATA_DIR={shlex.quote(folder)} " if folder else ""
    return before + " ".join((program, *arguments))


def say_json(value: Any) -> None:
    """Print one JSON value on one line, at once: a program may be reading a pipe."""
    click.echo(msgspec.json.encode(value))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose cells may carry rich's markup; identifiers are never cut."""
    shown = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for column in shown.columns:
        column.overflow = "fold"
    for row in rows:
        shown.add_row(*row)
    stdout.print(shown)


def escaped(text: str) -> str:
    """Return a text in which rich sees no markup."""
    return escape(text)


def coloured(status: str) -> str:
    """Return a status in its colour, as rich's markup."""
    colour = _COLOURS.get(status, "default")
    return f"[{colour}]{status}[/{colour}]"


def milliseconds(duration: float | None) -> str:
    return "" if duration is None else f"{duration:,.0f} ms"


def warn(warnings: Sequence[FieldFault]) -> None:
    """Print what may surprise, on stderr."""
    for warning in warnings:
        where = f"{warning.path}: " if warning.path else ""
        click.echo(f"Warning: {where}{warning.message} ({warning.code})", err=True)


def report(error: PlatformError, *, as_json: bool) -> None:
    """Print an error with all its faults on stderr."""
    report_of(error.code, error.message, error.faults, error.details, as_json=as_json)


def report_of(
    code: str,
    message: str,
    faults: Sequence[FieldFault] = (),
    details: dict[str, Any] | None = None,
    *,
    as_json: bool,
) -> None:
    """Print an error that is none of the platform's in the same shape."""
    if as_json:
        body = {"code": code, "message": message, "errors": faults, "details": details or {}}
        click.echo(msgspec.json.encode({"error": body}), err=True)
        return
    click.echo(f"Error: {message} ({code})" if "\n" not in message else f"Error: {message}", err=True)
    for fault in faults:
        where = f"{fault.path}: " if fault.path else ""
        click.echo(f"  {where}{fault.message} ({fault.code})", err=True)
