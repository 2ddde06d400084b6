"""Finding a path beneath a folder, whatever links lie there and whoever swaps them meanwhile.

No path is ever handed to the kernel whole. Each part is opened by itself, relative to the descriptor of the folder that
holds it and without following a link; links are read and walked in the same way, and `..` steps back to a descriptor
that is held already. So there is nothing between a check and its use that could be swapped. Nothing outside of the root
is touched, not even to see whether it exists.
"""

import os
import re
import stat
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from services.mcp_gateway.limits import (
    FILE_LINKS_MAX,
    FILE_NAME_MAX_BYTES,
    FILE_PATH_DEPTH_MAX,
    FILE_PATH_MAX_BYTES,
    FILE_WALKS_AT_ONCE,
)
from services.mcp_gateway.servers.filesystem.refusals import outside, refusal_of
from services.mcp_gateway.servers.tools import ToolRefused

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


# A backslash parts names elsewhere, control characters deceive readers, and a lone surrogate is no text.
_UNFIT = re.compile(r"[\\\x00-\x1f\x7f\ud800-\udfff]")


class Place(msgspec.Struct, frozen=True):
    """Where a path leads. `name` is None if to a folder, which `folder` is then; else `folder` holds what it names.

    `info` is what lies there, None if nothing does. `made`: the folder was made on the way.
    """

    folder: int
    name: str | None
    info: os.stat_result | None
    made: bool = False


class Root:
    """A folder that may be reached into. It stays the same folder if its path leads elsewhere later."""

    def __init__(self, path: str) -> None:
        self._shown = Path(path).resolve()
        self._descriptor = os.open(self._shown, OPEN_FOLDER)
        self._walks = threading.BoundedSemaphore(FILE_WALKS_AT_ONCE)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._descriptor)

    @contextmanager
    def find(self, path: str, *, follow: bool = True, make: bool = False) -> Iterator[Place]:
        """Walk to a path; its descriptors are open inside of the `with`.

        `follow`: a link at the end is walked too. `make`: folders that are missing are made, the last part included.
        Raises `ToolRefused`, inside of the `with` too where the file system refuses something.
        """
        parts = self.parts(path)
        with self._walks:
            yield from self._find(parts, follow=follow, make=make)

    def _find(self, parts: list[str], *, follow: bool, make: bool) -> Iterator[Place]:
        # Opened anew, not duplicated: duplicates share the place up to which a folder was listed.
        walk = _Walk(os.open(".", OPEN_FOLDER, dir_fd=self._descriptor), parts, follow=follow, make=make)
        try:
            yield walk.to_end()
        except OSError as error:
            raise refusal_of(error) from error
        finally:
            walk.close()

    def parts(self, path: str) -> list[str]:
        """Return the names that a path is made of. Raises `ToolRefused` for one that can lead nowhere."""
        if not path:
            raise ToolRefused("path_invalid", "A path has at least one character; `.` is the root.")
        if len(path.encode(errors="surrogatepass")) > FILE_PATH_MAX_BYTES:
            raise ToolRefused("path_invalid", f"A path has at most {FILE_PATH_MAX_BYTES} bytes.")
        if _UNFIT.search(path) is not None:
            raise ToolRefused("path_invalid", "A path has no backslash and no control characters; `/` parts names.")
        if path.startswith("/"):
            path = self._relative(path)
        parts = path.split("/")
        if any(len(part.encode()) > FILE_NAME_MAX_BYTES for part in parts):
            raise ToolRefused("path_invalid", f"A name has at most {FILE_NAME_MAX_BYTES} bytes.")
        return parts

    def _relative(self, path: str) -> str:
        shown = str(self._shown)
        if path == shown:
            return "."
        if not path.startswith(f"{shown}/"):
            raise outside()
        return path[len(shown) + 1 :]


class _Walk:
    """One walk. `_open` are the descriptors of the folders from the root down to where it stands."""

    def __init__(self, root: int, parts: list[str], *, follow: bool, make: bool) -> None:
        self._open = [root]
        self._ahead = deque(parts)
        self._follow = follow
        self._make = make
        self._links = 0
        self._made = False

    def close(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def to_end(self) -> Place:
        while self._ahead:
            part = self._ahead.popleft()
            if part in {"", "."}:
                continue
            if part == "..":
                self._up()
                continue
            if (place := self._into(part)) is not None:
                return place
        return Place(self._open[-1], None, os.fstat(self._open[-1]), self._made)

    def _up(self) -> None:
        if len(self._open) == 1:
            raise outside()
        os.close(self._open.pop())

    def _into(self, part: str) -> Place | None:
        """Go on by one part; return the end of the walk if it is no folder."""
        info = self._look(part)
        if info is None and self._make:
            self._make_folder(part)
            info = self._look(part)
        is_link = info is not None and stat.S_ISLNK(info.st_mode)
        if is_link and (self._ahead or self._follow):
            self._through_link(part)
        elif info is not None and stat.S_ISDIR(info.st_mode):
            if len(self._open) > FILE_PATH_DEPTH_MAX:
                raise _too_deep()
            self._open.append(os.open(part, OPEN_FOLDER, dir_fd=self._open[-1]))
        elif not self._ahead:
            return Place(self._open[-1], part, info)
        elif info is None:
            raise ToolRefused("not_found", "There is no such file or folder.")
        else:
            raise ToolRefused("not_a_folder", "A part of the path is a file, not a folder.")
        return None

    def _make_folder(self, part: str) -> None:
        if len(self._open) > FILE_PATH_DEPTH_MAX:
            raise _too_deep()
        with suppress(FileExistsError):  # somebody else was first
            os.mkdir(part, 0o755, dir_fd=self._open[-1])
            self._made = True

    def _look(self, part: str) -> os.stat_result | None:
        try:
            return os.stat(part, dir_fd=self._open[-1], follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _through_link(self, part: str) -> None:
        self._links += 1
        if self._links > FILE_LINKS_MAX:
            raise ToolRefused("path_invalid", "The path leads through links in a circle, or through too many.")
        target = os.readlink(part, dir_fd=self._open[-1])
        if target.startswith("/"):
            raise outside()
        self._ahead.extendleft(reversed(target.split("/")))


def _too_deep() -> ToolRefused:
    return ToolRefused("path_invalid", f"A path leads through at most {FILE_PATH_DEPTH_MAX} folders.")
