"""JSON with comments and trailing commas, as editors keep their settings in."""

import re
from typing import Any

import msgspec

from shared.errors import InvalidInput
from shared.unique_keys import check_unique_keys

# A text, a comment, or a comma before a closing bracket; texts are matched so that nothing in them is.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/|,(?=(?:\s|//[^\n]*(?:\n|$))*[}\]])')


def load_jsonc(text: str) -> Any:
    """Return the value of a text. Raises `InvalidInput`; what stands in the text is not repeated there."""
    plain = _TOKEN.sub(lambda match: match[0] if match[0].startswith('"') else " ", text.removeprefix("\ufeff"))
    raw = plain.encode("utf-8", "surrogatepass")
    try:
        value = msgspec.json.decode(raw)
        check_unique_keys(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(f"The configuration is no JSON, with or without comments: {reason}.") from error
    return value
