"""What people do not see in a text and a model does: invisible characters, terminal escapes, text in an encoding."""

import re

from services.mcp_gateway.limits import ENCODED_TEXT_MIN_CHARS

INVISIBLE = re.compile(
    "[\u00ad\u115f\u1160\u200b-\u200f\u202a-\u202e\u2060-\u2069\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+"
)
"""What is not seen, legitimate or not: it is taken out before phrases are looked for. The next four are among it."""

SMUGGLED = re.compile(
    "[\U000e0000-\U000e007f](?<![\U0001f3f4\U000e0020-\U000e007e].)[\U000e0000-\U000e007f]*"  # tags, but in a flag
    "|\U0001f3f4[\U000e0000-\U000e007f]{9}"
    "|[\U000e0100-\U000e01ef]{3}|[\ufe00-\ufe0f]{3}"
    "|[\u200b-\u200f\u2060-\u2064\ufeff]{4}"
)
"""Letters as invisible characters: nothing else is written so."""

UNSEEN = re.compile("[\u115f\u1160\u200b\u202a-\u202e\u2060-\u2069\u3164\ufeff\uffa0\U000e0100-\U000e01ef]")
"""What no description of a tool needs. Joiners and direction marks are needed by scripts and emoji."""

SPLIT_WORD = re.compile("[A-Za-z][\u00ad\u200b-\u200d\u2060\ufeff]{1,8}[A-Za-z]")
BIDI_OVERRIDES = re.compile("[\u202d\u202e]")

ESCAPE = re.compile("[\x1b\x9b]")
CONCEALING_ESCAPE = re.compile(r"(?:\x1b\[|\x9b)(?:[0-9]{1,3};){0,8}8m|\x1b\]52;|(?:\x1b\[|\x9b)[23]J")
"""Concealed text, the clipboard, a cleared screen. Colours are what programs print."""

BLOB_TOKEN = re.compile(rf"[A-Za-z0-9+/_-]{{{ENCODED_TEXT_MIN_CHARS},}}+={{0,2}}")


def looks_encoded(token: str) -> bool:
    """Whether a run of characters is text in an encoding rather than a word, a path, a number or a digest."""
    kinds = (any(map(str.isupper, token)), any(map(str.islower, token)), any(map(str.isdigit, token)))
    return all(kinds) and token.count("_") + token.count("-") + token.count("/") <= len(token) // 12
