"""What a check of `agentic doctor` saw."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """What a check saw; `remedy` is what to do about it, empty if there is nothing to do."""

    name: str
    state: Literal["ok", "note", "wrong"]
    detail: str
    remedy: str = ""
