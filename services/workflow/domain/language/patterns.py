"""The regular expressions of `match` and `search`: I-Regexp (RFC 9485) and more, in time linear in the text.

The pattern and the text may both be chosen by somebody hostile, so no backtracking engine will do. The JSON Schema
validator that the platform has anyway is built on one that never backtracks and bounds a pattern's program. Beyond
I-Regexp it knows anchors and the classes of digits and letters; it refuses look-around and back-references.
"""

from collections.abc import Callable
from functools import lru_cache

import jsonschema_rs

from services.workflow.limits import MAX_CACHED_PATTERNS, MAX_PATTERN_CHARS, MAX_PATTERN_PROGRAM_BYTES

Matches = Callable[[str], bool]

# Letters that the engine may give a meaning to inside a character class, and I-Regexp does not.
_CLASS_LITERALS = frozenset("&~[")


@lru_cache(maxsize=MAX_CACHED_PATTERNS)
def compile_pattern(pattern: str, *, whole: bool) -> Matches | None:
    """Return the test of a text against `pattern` (all of it when `whole`), or None if it cannot be one."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return None
    source = _translated(pattern)
    options = jsonschema_rs.RegexOptions(size_limit=MAX_PATTERN_PROGRAM_BYTES)
    schema = {"pattern": f"^(?:{source})$" if whole else source}
    try:
        validator = jsonschema_rs.validator_for(schema, pattern_options=options, offline=True)
    except jsonschema_rs.ValidationError:  # a pattern such as a{1000}{1000}, whose program is above the bound
        return None
    return validator.is_valid


def _translated(pattern: str) -> str:
    """Return the pattern in the engine's dialect: `.` excludes both line ends, and set operators are letters."""
    parts: list[str] = []
    escaped = in_class = False
    for letter in pattern:
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif in_class:
            in_class = letter != "]"
            if letter in _CLASS_LITERALS:
                parts.append("\\")
        elif letter == "[":
            in_class = True
        elif letter == ".":
            parts.append("[^\\n\\r]")
            continue
        parts.append(letter)
    return "".join(parts)
