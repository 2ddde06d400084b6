"""What the file system says no with, as tools say it. No message names a path or what lies outside of the root."""

import errno

from services.mcp_gateway.servers.tools import ToolRefused

_REFUSALS = {
    errno.ENOENT: ("not_found", "There is no such file or folder."),
    errno.ENOTDIR: ("not_a_folder", "A part of the path is a file, not a folder."),
    errno.ELOOP: ("not_a_file", "What lies there is a link, and was not a moment ago."),
    errno.EISDIR: ("is_a_folder", "What lies there is a folder."),
    errno.EEXIST: ("already_exists", "Something lies there already."),
    errno.ENOTEMPTY: ("folder_not_empty", "The folder is not empty: delete what it holds first."),
    errno.EACCES: ("not_permitted", "The file system does not permit it."),
    errno.EPERM: ("not_permitted", "The file system does not permit it."),
    errno.EROFS: ("not_permitted", "The file system can only be read."),
    errno.ENOSPC: ("no_space", "The disk is full: delete something first."),
    errno.EDQUOT: ("no_space", "The disk quota is used up: delete something first."),
    errno.EFBIG: ("too_large", "The file would be larger than this process may write."),
    errno.ENAMETOOLONG: ("path_invalid", "A name of the path is too long for this file system."),
    errno.ENXIO: ("not_a_file", "What lies there is no regular file."),
}


def outside() -> ToolRefused:
    """Refuse a path that leads out, in the same words whatever lies there."""
    return ToolRefused(
        "outside_root", "The path leads out of the root. Paths are relative to it, such as `notes/a.txt`."
    )


def refusal_of(error: OSError) -> ToolRefused:
    """Return the refusal for an error of the file system."""
    code, message = _REFUSALS.get(error.errno or 0, ("io_error", "The file system failed; trying again may help."))
    return ToolRefused(code, message)
