"""What a person sees while the platform starts, and when one of its parts ends."""

from types import TracebackType
from typing import Self

import click
import msgspec
from rich.console import Console

from infra.local.kept import Progress


class Watching:
    """Prints progress as it comes: lines for people with what is still starting below them, or JSON lines."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self._console = console
        self._as_json = as_json
        self._starting: dict[str, None] = {}
        self._status = console.status("Starting…")

    def __enter__(self) -> Self:
        if not self._as_json:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def __call__(self, progress: Progress) -> None:
        if self._as_json:
            click.echo(msgspec.json.encode(progress), err=True)
            return
        name, detail = progress.name, progress.detail
        match progress.state:
            case "starting":
                self._starting[name] = None
            case "ready":
                self._starting.pop(name, None)
                took = "" if progress.seconds is None else f"  [dim]{progress.seconds:.2f} s[/dim]"
                self._console.print(f"[green]✓[/green] {name}{took}  {detail}".rstrip())
            case "ended":
                self._console.print(f"[red]✗[/red] {name} ended: {detail}", markup=True)
            case "note":
                self._console.print(f"[yellow]•[/yellow] {name}: {detail}")
            case "stopping":
                self._starting.clear()
                self._console.print("stopping… [dim](once more ends everything at once)[/dim]")
            case "stopped":
                self._starting.pop(name, None)
        if self._starting:
            self._status.update(f"Starting {', '.join(self._starting)}…")
        else:
            self._status.stop()
