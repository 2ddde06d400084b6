"""SQL lives in .sql files; this reads them. A query starts with `-- name: <identifier>` and ends at the next one."""

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: *([a-z_][a-z0-9_]*) *$", re.MULTILINE)


class Queries:
    """The named queries of one file, as attributes: `queries.read_stream`."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def __getattr__(self, name: str) -> str:
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"no query named {name!r}") from None


def load_queries(path: Path) -> Queries:
    """Read the named queries of a .sql file. A name given twice is an error."""
    parts = _NAME.split(path.read_text(encoding="utf-8"))
    texts: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in texts:
            raise ValueError(f"{path}: query {name!r} is there twice")
        texts[name] = body.strip()
    return Queries(texts)
