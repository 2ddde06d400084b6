"""The seven tools. Paths are relative to the root; nothing outside of it can be reached or told of."""

import os
import stat
from typing import Annotated

import msgspec
from msgspec import Meta

from services.mcp_gateway.limits import (
    FILE_LISTED_MAX,
    FILE_OFFSET_MAX,
    FILE_READ_MAX_BYTES,
    FILE_SEARCH_RESULTS_MAX,
    FILE_SEARCH_TEXT_MAX_CHARS,
    KIB,
    RESULT_MAX_BYTES,
)
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.filesystem.beneath import Place, Root
from services.mcp_gateway.servers.filesystem.contents import Encoding, decoded, encoded, open_file, read, write
from services.mcp_gateway.servers.filesystem.entries import Info, info_of, listed
from services.mcp_gateway.servers.filesystem.search import Match, Pattern, Search
from services.mcp_gateway.servers.tools import ToolHints, ToolOutput, ToolRefused, schema_of

_READS = ToolHints(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_MAKES = ToolHints(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_WRITES = ToolHints(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
_DELETES = ToolHints(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)

Path = Annotated[str, Meta(description="Relative to the root, such as `notes/a.txt`.")]
FolderPath = Annotated[str, Meta(description="Relative to the root; `.` is the root.")]
HowEncoded = Annotated[Encoding, Meta(description="`utf-8` for text, `base64` for any bytes.")]


class FileContent(msgspec.Struct, frozen=True):
    """What was read. `size` is that of the whole file in bytes; `end` where this part of it ends."""

    content: str
    encoding: Encoding
    size: int
    end: int


class Written(msgspec.Struct, frozen=True):
    """What was written: `size` bytes, to a file that was not there before if `created`."""

    size: int
    created: bool


class Listing(msgspec.Struct, frozen=True):
    """Entries by name. `next_after` is what to give as `after` for the next ones, null at the end."""

    entries: list[Info]
    next_after: str | None


class Made(msgspec.Struct, frozen=True):
    """Whether the folder was not there before."""

    created: bool


class Deleted(msgspec.Struct, frozen=True):
    """What was deleted."""

    deleted: bool


class Found(msgspec.Struct, frozen=True):
    """What was found. `stopped_by` names the bound that ended the search early, null if none did.

    `skipped`: so many files could not be looked into, as they are too large or may not be read.
    """

    matches: list[Match]
    stopped_by: str | None
    skipped: int


class FileTools:
    """The tools over one root. Each raises `ToolRefused`."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def read_file(
        self,
        path: Path,
        encoding: HowEncoded = "utf-8",
        offset: Annotated[int, Meta(ge=0, le=FILE_OFFSET_MAX, description="The first byte to read.")] = 0,
        length: Annotated[int, Meta(ge=1, le=FILE_READ_MAX_BYTES, description="How many bytes to read at most.")]
        | None = None,
    ) -> ToolOutput:
        """Read a file, or a part of it."""
        with self._root.find(path) as place:
            descriptor = open_file(place)
            try:
                size = os.fstat(descriptor).st_size
                if length is None and size - offset > FILE_READ_MAX_BYTES:
                    raise _too_large(size)
                data = read(descriptor, offset, length or FILE_READ_MAX_BYTES)
            finally:
                os.close(descriptor)
        text, used = encoded(data, encoding, whole=offset + len(data) >= size)
        content = FileContent(text, encoding, size, offset + used)
        if 2 * len(msgspec.json.encode(text)) > RESULT_MAX_BYTES - KIB:
            raise ToolRefused("too_large", "The text has too many characters to be escaped: read less, or as base64.")
        return ToolOutput(msgspec.to_builtins(content), content.content)

    def write_file(
        self,
        path: Path,
        content: str,
        encoding: HowEncoded = "utf-8",
        overwrite: Annotated[bool, Meta(description="Whether a file that is there is replaced.")] = True,
    ) -> Written:
        """Write a whole file: readers see the old content or the new, never a part. The folder must be there."""
        data = decoded(content, encoding)
        with self._root.find(path, follow=False) as place:
            return Written(len(data), write(place, data, overwrite=overwrite))

    def list_directory(
        self,
        path: FolderPath = ".",
        after: Annotated[str, Meta(description="List what comes behind this name.")] = "",
        limit: Annotated[int, Meta(ge=1, le=FILE_LISTED_MAX)] = FILE_LISTED_MAX,
    ) -> Listing:
        """List a folder by name: files, folders and links, with sizes and times."""
        with self._root.find(path) as place:
            entries, more = listed(_folder(place), after, limit)
        return Listing(entries, entries[-1].name if more and entries else None)

    def create_directory(self, path: Path) -> Made:
        """Make a folder, and the folders above it that are missing. One that is there already is no error."""
        with self._root.find(path, make=True) as place:
            if place.name is not None:
                raise ToolRefused("already_exists", "A file lies there.")
            return Made(place.made)

    def delete_file(
        self,
        path: Path,
        directory: Annotated[bool, Meta(description="Delete an empty folder instead of a file.")] = False,
    ) -> Deleted:
        """Delete a file, or an empty folder if `directory` is true. Of a link only itself, not what it leads to."""
        self._root.parts(path)
        parent, name = _last(path)
        with self._root.find(parent) as place:
            folder = _folder(place)
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if directory:
                os.rmdir(name, dir_fd=folder)
            elif stat.S_ISDIR(info.st_mode):
                raise ToolRefused("is_a_folder", "What lies there is a folder: set `directory`, if it is empty.")
            else:
                os.unlink(name, dir_fd=folder)
        return Deleted(deleted=True)

    def search_files(
        self,
        pattern: Annotated[str, Meta(description="`*.txt` at any depth, or with folders: `notes/**/*.txt`.")],
        path: FolderPath = ".",
        text: Annotated[
            str,
            Meta(min_length=1, max_length=FILE_SEARCH_TEXT_MAX_CHARS, description="Only files with this text in them."),
        ]
        | None = None,
        max_results: Annotated[int, Meta(ge=1, le=FILE_SEARCH_RESULTS_MAX)] = FILE_SEARCH_RESULTS_MAX,
    ) -> Found:
        """Find files and folders by name and, if `text` is given, by what they hold. Links are not followed."""
        search = Search(Pattern(pattern), text, max_results)
        with self._root.find(path) as place:
            search.run(_folder(place))
        return Found(search.found, search.stopped_by, search.skipped)

    def get_file_info(self, path: FolderPath) -> Info:
        """Tell the type, size in bytes and time of change of a file or folder."""
        with self._root.find(path) as place:
            if place.info is None:
                raise ToolRefused("not_found", "There is no such file or folder.")
            return info_of(place.name or path.rstrip("/").rpartition("/")[2], place.info)


def filesystem_server(root: Root) -> ToolServer:
    """Return the server of the files beneath a root."""
    tools = FileTools(root)
    server = ToolServer(
        "filesystem",
        version="1.0.0",
        instructions="Files and folders beneath one root. Paths are relative to it and written with `/`.",
    )
    server.tool(hints=_READS, output_schema=schema_of(FileContent))(tools.read_file)
    server.tool(hints=_WRITES)(tools.write_file)
    server.tool(hints=_READS)(tools.list_directory)
    server.tool(hints=_MAKES)(tools.create_directory)
    server.tool(hints=_DELETES)(tools.delete_file)
    server.tool(hints=_READS)(tools.search_files)
    server.tool(hints=_READS)(tools.get_file_info)
    return server


def _folder(place: Place) -> int:
    if place.info is None:
        raise ToolRefused("not_found", "There is no such file or folder.")
    if place.name is not None:
        raise ToolRefused("not_a_folder", "What lies there is no folder.")
    return place.folder


def _too_large(size: int) -> ToolRefused:
    how = "use `offset` and `length`"
    return ToolRefused("too_large", f"The file has {size} bytes and a call reads {FILE_READ_MAX_BYTES} at most: {how}.")


def _last(path: str) -> tuple[str, str]:
    """Split a path into that of the folder and the name in it: what is deleted has to be named."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in {"", ".", ".."}:
        raise ToolRefused("path_invalid", "Name the file to delete; the root itself stays.")
    return (parent or ("/" if path.startswith("/") else "."), name)
