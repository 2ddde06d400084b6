"""Reading and writing what files hold: regular files alone, bounded, and written as a whole or not at all."""

import base64
import binascii
import codecs
import os
import secrets
import stat
from contextlib import suppress
from typing import Literal

from services.mcp_gateway.limits import FILE_MAX_BYTES, MIB
from services.mcp_gateway.servers.filesystem.beneath import Place
from services.mcp_gateway.servers.tools import ToolRefused

Encoding = Literal["utf-8", "base64"]
_HIGH_BITS, _CONTINUED = 0b1100_0000, 0b1000_0000  # of a byte that is not the first of a character (RFC 3629)
_text_decoder = codecs.getincrementaldecoder("utf-8")
# Without O_NONBLOCK, opening a FIFO that was swapped in would wait for a writer for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_file(place: Place) -> int:
    """Open a regular file to read. Raises `ToolRefused` or `OSError`."""
    if place.name is None:
        raise ToolRefused("is_a_folder", "What lies there is a folder: use `list_directory`.")
    if place.info is None:
        raise ToolRefused("not_found", "There is no such file or folder.")
    if not stat.S_ISREG(place.info.st_mode):
        raise _no_file()
    descriptor = os.open(place.name, _READ, dir_fd=place.folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file()
    return descriptor


def read(descriptor: int, offset: int, length: int) -> bytes:
    """Return up to `length` bytes from `offset` on, fewer at the file's end."""
    parts: list[bytes] = []
    while length > 0 and (part := os.pread(descriptor, min(length, MIB), offset)):
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return b"".join(parts)


def write(place: Place, content: bytes, *, overwrite: bool) -> bool:
    """Put content into a file, and return whether the file is new.

    The content goes to a new file beside it, onto the disk, and then takes the name: a reader, or a crash, meets the
    old content or the new. Raises `ToolRefused` or `OSError`.
    """
    if place.name is None:
        raise ToolRefused("is_a_folder", "What lies there is a folder.")
    if place.info is not None and not stat.S_ISREG(place.info.st_mode):
        raise _no_file()
    if place.info is not None and not overwrite:
        raise ToolRefused("already_exists", "The file is there already, and `overwrite` is false.")
    beside = f".{secrets.token_hex(8)}.part"
    descriptor = os.open(beside, _NEW, 0o644, dir_fd=place.folder)
    try:
        try:
            _write_all(descriptor, content)
            if place.info is not None:
                os.fchmod(descriptor, stat.S_IMODE(place.info.st_mode) & 0o777)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if overwrite:
            os.replace(beside, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
        else:  # a link refuses a name that was taken meanwhile, where a rename would not
            os.link(beside, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder, follow_symlinks=False)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=place.folder)
    os.fsync(place.folder)
    return place.info is None


def decoded(content: str, encoding: Encoding) -> bytes:
    """Return the bytes that a caller means. Raises `ToolRefused`."""
    if encoding == "base64":
        try:
            data = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ToolRefused("not_base64", "`content` is not base64.") from error
    else:
        data = content.encode()
    if len(data) > FILE_MAX_BYTES:
        raise ToolRefused("too_large", f"A file is written with at most {FILE_MAX_BYTES} bytes at once.")
    return data


def encoded(data: bytes, encoding: Encoding, *, whole: bool) -> tuple[str, int]:
    """Return bytes as text, and how many of them it is: a character that is cut off at the end is left out.

    `whole`: nothing follows them. Raises `ToolRefused` if they are no text.
    """
    if encoding == "base64":
        return base64.b64encode(data).decode(), len(data)
    decoder = _text_decoder()
    try:
        text = decoder.decode(data, whole)
    except UnicodeDecodeError as error:
        if error.start == 0 and data[0] & _HIGH_BITS == _CONTINUED:
            raise ToolRefused("not_text", "`offset` lies inside of a character, or the bytes are no text.") from error
        raise ToolRefused("not_text", "The bytes are no UTF-8 text: read them with `encoding` `base64`.") from error
    return text, len(data) - len(decoder.getstate()[0])


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _no_file() -> ToolRefused:
    return ToolRefused("not_a_file", "What lies there is no regular file.")
