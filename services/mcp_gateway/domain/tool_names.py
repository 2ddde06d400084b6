"""Names of tools and patterns of them: `*` stands for any number of characters, everything else for itself."""

from collections.abc import Iterable


class ToolNames:
    """A list of names and patterns. Names are compared as they are: no case is folded, no Unicode normalised."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._names: dict[str, str] = {}
        self._patterns: list[tuple[str, list[str]]] = []
        for entry in entries:
            if "*" in entry:
                self._patterns.append((entry, entry.split("*")))
            else:
                self._names[entry] = entry

    def match(self, name: str) -> str | None:
        """Return the entry that covers a name, if one does."""
        found = self._names.get(name)
        if found is not None:
            return found
        return next((entry for entry, pieces in self._patterns if _fits(name, pieces)), None)


def _fits(name: str, pieces: list[str]) -> bool:
    """Match without going back: each piece at its first place is never worse than at a later one."""
    first, *middle, last = pieces
    end = len(name) - len(last)
    if len(first) > end or not name.startswith(first) or not name.endswith(last):
        return False
    place = len(first)
    for piece in middle:
        if not piece:
            continue
        place = name.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return True
