"""Where something is inside a JSON value, written as people write it: `steps[2].headers['X-Key']`."""

import re

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


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
