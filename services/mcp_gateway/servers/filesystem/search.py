"""Searching a tree for names and for text, within bounds of entries, bytes, depth and time, and through no link."""

import errno
import fnmatch
import io
import os
import re
import stat
import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

import msgspec

from services.mcp_gateway.limits import (
    FILE_PATH_DEPTH_MAX,
    FILE_PATTERN_MAX_CHARS,
    FILE_SEARCH_BYTES_MAX,
    FILE_SEARCH_ENTRIES_MAX,
    FILE_SEARCH_FILE_MAX_BYTES,
    FILE_SEARCH_FOUND_MAX_BYTES,
    FILE_SEARCH_LINE_MAX_CHARS,
    FILE_SEARCH_LINES_MAX,
    FILE_SEARCH_SECONDS,
)
from services.mcp_gateway.servers.filesystem.beneath import OPEN_FOLDER, Place
from services.mcp_gateway.servers.filesystem.contents import open_file, read
from services.mcp_gateway.servers.filesystem.entries import Kind, kind_of, shown_name
from services.mcp_gateway.servers.tools import ToolRefused


class Line(msgspec.Struct, frozen=True):
    """A line that holds the text; `number` counts from 1."""

    number: int
    text: str


class Match(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that was found; `path` is relative to the root of the search."""

    path: str
    type: Kind
    lines: list[Line] = []


class Pattern:
    """A glob: `*` and `?` within a name, `[…]`, and `**` for any folders. Without `/` it fits at any depth."""

    def __init__(self, text: str) -> None:
        parts = text.split("/")
        if not text or text.startswith("/") or ".." in parts or "\0" in text or "\\" in text:
            raise ToolRefused("pattern_invalid", "A pattern is relative, like `**/*.txt`, and has no `..`.")
        if len(text) > FILE_PATTERN_MAX_CHARS:
            raise ToolRefused("pattern_invalid", f"A pattern has at most {FILE_PATTERN_MAX_CHARS} characters.")
        kept = [part for part in parts if part not in {"", "."}]
        self._parts = [
            None if part == "**" else _compiled(part) for part in (kept if len(parts) > 1 else ["**", *kept])
        ]

    def fits(self, path: list[str]) -> bool:
        """Whether a path of these names is meant."""
        # Which of the pattern's parts may come next: a set, so that many `**` cost no more than their number.
        at = self._past_stars({0})
        for name in path:
            after = {place for place in at if place < len(self._parts) and self._parts[place] is None}
            for place in at:
                part = self._parts[place] if place < len(self._parts) else None
                if part is not None and part.match(name):
                    after.add(place + 1)
            at = self._past_stars(after)
        return len(self._parts) in at

    def _past_stars(self, at: set[int]) -> set[int]:
        found = set(at)
        for place in at:
            while place < len(self._parts) and self._parts[place] is None:
                place += 1  # noqa: PLW2901 - any number of folders may be none
                found.add(place)
        return found


class Search:
    """One search. `stopped_by` says which bound ended it, None if it saw everything."""

    def __init__(self, pattern: Pattern, text: str | None, most: int) -> None:
        self._pattern = pattern
        if text is not None and ("\n" in text or "\r" in text):
            raise ToolRefused("text_invalid", "`text` is looked for in each line: it has no line breaks.")
        self._text = None if text is None else text.encode()
        self._most = most
        self._entries = 0
        self._bytes = 0
        self._until = time.monotonic() + FILE_SEARCH_SECONDS
        self._size = 0
        self.skipped = 0
        self.stopped_by: str | None = None
        self.found: list[Match] = []

    def run(self, root: int) -> None:
        """Search an open folder. Raises `OSError` when the file system, or this process, is at its end."""
        for folder, path, info in self._below(root, []):
            if self._pattern.fits(path):
                self._take(folder, path, info)
            if self.stopped_by is not None:
                return

    def _take(self, folder: int, path: list[str], info: os.stat_result) -> None:
        lines: list[Line] = []
        if self._text is not None:
            lines = self._lines(Place(folder, path[-1], info), self._text)
            if not lines:
                return
        if len(self.found) >= self._most:
            self.stopped_by = "results"
            return
        match = Match("/".join(shown_name(name) for name in path), kind_of(info), lines)
        self._size += len(msgspec.json.encode(match))
        if self._size > FILE_SEARCH_FOUND_MAX_BYTES:
            self.stopped_by = "size"
            return
        self.found.append(match)

    def _lines(self, place: Place, text: bytes) -> list[Line]:
        info = place.info
        if info is None or not stat.S_ISREG(info.st_mode):
            return []
        if info.st_size > FILE_SEARCH_FILE_MAX_BYTES:
            self.skipped += 1
            return []
        if self._bytes + info.st_size > FILE_SEARCH_BYTES_MAX:
            self.stopped_by = "bytes"
            return []
        try:
            descriptor = open_file(place)
        except ToolRefused:
            return []  # it is no file any more
        except OSError as error:
            _not_if_ours(error)
            self.skipped += 1
            return []
        try:
            data = read(descriptor, 0, FILE_SEARCH_FILE_MAX_BYTES)
        finally:
            os.close(descriptor)
        self._bytes += len(data)
        return _lines_with(text, data)

    def _below(self, folder: int, path: list[str]) -> Iterator[tuple[int, list[str], os.stat_result]]:
        with os.scandir(folder) as entries:
            names = []
            for entry in entries:
                self._entries += 1
                if self._entries > FILE_SEARCH_ENTRIES_MAX:
                    self.stopped_by = "entries"
                    return
                names.append(entry.name)
        for name in sorted(names):
            if time.monotonic() > self._until:
                self.stopped_by = "time"
                return
            try:
                info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue  # it went meanwhile
            inner = [*path, name]
            yield folder, inner, info
            if stat.S_ISDIR(info.st_mode) and len(inner) <= FILE_PATH_DEPTH_MAX:
                yield from self._inside(folder, name, inner)

    def _inside(self, folder: int, name: str, path: list[str]) -> Iterator[tuple[int, list[str], os.stat_result]]:
        try:
            inner = os.open(name, OPEN_FOLDER, dir_fd=folder)
        except OSError as error:
            _not_if_ours(error)
            self.skipped += error.errno in {errno.EACCES, errno.EPERM}
            return
        try:
            yield from self._below(inner, path)
        finally:
            os.close(inner)


def _lines_with(text: bytes, data: bytes) -> list[Line]:
    hits = (Line(number, _shown(line)) for number, line in enumerate(io.BytesIO(data), start=1) if text in line)
    return list(islice(hits, FILE_SEARCH_LINES_MAX)) if text in data else []


def _not_if_ours(error: OSError) -> None:
    """Raise what is not about one file or folder: to go on would pass a part of what there is for all."""
    if error.errno not in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENXIO}:
        raise error


def _shown(line: bytes) -> str:
    return line[: 4 * FILE_SEARCH_LINE_MAX_CHARS].decode(errors="replace").strip()[:FILE_SEARCH_LINE_MAX_CHARS]


@lru_cache(maxsize=256)
def _compiled(part: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(part))
