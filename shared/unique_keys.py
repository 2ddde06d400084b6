"""JSON decoders keep the last of two members with one name: what somebody wrote would be lost without a word."""

import json
from typing import Any

from shared.errors import FieldFault, InvalidInput


def check_unique_keys(raw: bytes) -> None:
    """Raise `InvalidInput` (`duplicate_key`) if an object in this JSON text, which must be valid, has a key twice."""
    json.loads(raw, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            message = f"the key {key[:100]!r} stands twice in one object"
            found = FieldFault("", message, "duplicate_key")
            raise InvalidInput(f"The JSON cannot be taken: {message}.", faults=[found])
        seen.add(key)
