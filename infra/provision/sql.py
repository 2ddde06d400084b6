"""Named queries: statements in .sql files, each under a line `-- name: …`."""

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def named_queries(file: Path) -> dict[str, str]:
    _, *pieces = _NAME.split(file.read_text())
    return {name: text.strip().rstrip(";") for name, text in zip(pieces[::2], pieces[1::2], strict=True)}
