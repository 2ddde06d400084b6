"""What lies at a path, as tools tell it."""

import datetime as dt
import heapq
import os
import stat
from typing import Literal

import msgspec

Kind = Literal["file", "folder", "link", "other"]


class Info(msgspec.Struct, frozen=True):
    """What is known of a file or folder. `size` is in bytes, 0 for what is no file; `modified_at` is UTC."""

    name: str
    type: Kind
    size: int
    modified_at: dt.datetime


def kind_of(info: os.stat_result) -> Kind:
    """Return what kind of thing this is."""
    if stat.S_ISREG(info.st_mode):
        return "file"
    if stat.S_ISDIR(info.st_mode):
        return "folder"
    return "link" if stat.S_ISLNK(info.st_mode) else "other"


def info_of(name: str, info: os.stat_result) -> Info:
    """Return what is told of it. Of a link nothing but that it is one: what it leads to may lie outside."""
    kind = kind_of(info)
    modified_at = dt.datetime.fromtimestamp(int(info.st_mtime), dt.UTC)
    return Info(shown_name(name), kind, info.st_size if kind == "file" else 0, modified_at)


def shown_name(name: str) -> str:
    """Return a name as text. Bytes that are no UTF-8 are shown in hexadecimal; such a file has no path here."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def listed(folder: int, after: str, most: int) -> tuple[list[Info], bool]:
    """Return the first entries by name behind `after`, and whether there are more. Memory is bounded by `most`."""
    with os.scandir(folder) as entries:
        names = heapq.nsmallest(
            most + 1, (entry.name for entry in entries if shown_name(entry.name) > after), key=shown_name
        )
    found = []
    for name in names[:most]:
        try:
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue  # it went meanwhile
        found.append(info_of(name, info))
    return found, len(names) > most
