"""Where something is inside a JSON value, written as people write it: `steps[2].headers['X-Key']`."""

import ast
import re

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_PART = re.compile(r"""\.?([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]|\[('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]""")


def join_path(base: str, *parts: str | int) -> str:
    """Return `base` extended by object keys (text) and list indexes (int)."""
    pieces = [base]
    for part in parts:
        if isinstance(part, int):
            pieces.append(f"[{part}]")
        elif not _PLAIN.match(part):
            pieces.append(f"[{part!r}]")
        else:
            pieces.append(f".{part}" if pieces != [""] else part)
    return "".join(pieces)


def split_path(path: str) -> tuple[str | int, ...]:
    """Return the keys and indexes that `join_path` made `path` of. Raises `ValueError` for what it did not make."""
    parts: list[str | int] = []
    at = 0
    while at < len(path):
        part = _PART.match(path, at)
        if part is None:
            raise ValueError(f"no path: {path!r}")
        name, index, quoted = part.groups()
        parts.append(name if name is not None else int(index) if index is not None else ast.literal_eval(quoted))
        at = part.end()
    return tuple(parts)
