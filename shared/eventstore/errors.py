"""What an append can be refused for."""

from uuid import UUID

from shared.errors import Conflict


class ConcurrentAppend(Conflict):
    """Somebody else appended to one of these streams first: load it again, decide again."""

    code = "concurrent_append"

    def __init__(self, stream_ids: frozenset[UUID]) -> None:
        super().__init__("Another writer appended to this stream first.")
        self.stream_ids = stream_ids
