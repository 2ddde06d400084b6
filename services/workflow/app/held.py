"""What the engine knows of partitions: which it decides, which are on their way to it, and until when they are its."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from uuid import UUID

import msgspec

from services.workflow.app.items import Item
from services.workflow.app.recovery import FIRST
from shared.bus.tasks import partition_of


class Adoption(msgspec.Struct, eq=False):
    """Partitions whose open executions are being taken up. Those that are taken away meanwhile leave the set."""

    partitions: list[int]
    heard_at: int
    done: asyncio.Future[None]
    after: UUID = FIRST


class Leaving(msgspec.Struct, eq=False):
    """Partitions of which everything is to be forgotten."""

    partitions: frozenset[int]
    done: asyncio.Future[None]


class Held:
    """The engine's partitions. Without a valid lease nothing is decided for any of them."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.adoptions: deque[Adoption] = deque()
        self.leaving: deque[Leaving] = deque()
        self._arriving: dict[int, list[Item]] = {}
        self._until = 0.0

    def renewed(self, until: float) -> bool:
        """Hold a lease until then (seconds of the monotonic clock); return whether there was none."""
        lapsed = self.lapsed()
        self._until = until
        return lapsed

    def lapsed(self) -> bool:
        """Return whether the lease has run out: another process may be deciding already."""
        return time.monotonic() >= self._until

    def has(self, execution_id: UUID) -> bool:
        """Return whether items of this execution may be taken from the queue."""
        return partition_of(execution_id) in self.open

    def expected(self, execution_id: UUID) -> list[Item] | None:
        """Return where to keep items of an execution that is being taken up, None if it is not."""
        return self._arriving.get(partition_of(execution_id))

    def arrive(self, partitions: Iterable[int], heard_at: int) -> Adoption:
        """Begin to take up partitions."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        adoption = Adoption(sorted(partitions), heard_at, done)
        self._arriving.update((partition, []) for partition in adoption.partitions)
        self.adoptions.append(adoption)
        return adoption

    def settle(self, adoption: Adoption) -> list[Item]:
        """Decide these partitions from now on; return what came for them meanwhile."""
        self.adoptions.remove(adoption)
        self.open.update(adoption.partitions)
        if not adoption.done.done():
            adoption.done.set_result(None)
        return [item for partition in adoption.partitions for item in self._arriving.pop(partition)]

    def leave(self, partitions: Iterable[int]) -> list[Item]:
        """Decide these partitions no longer; return what was kept for those that were just arriving."""
        gone = frozenset(partitions)
        self.open -= gone
        kept = [item for partition in gone for item in self._arriving.pop(partition, ())]
        for adoption in self.adoptions:
            adoption.partitions = [partition for partition in adoption.partitions if partition not in gone]
        return kept

    def start_over(self) -> None:
        """Take up from the beginning what was being taken up: nothing of it is known any more."""
        for adoption in self.adoptions:
            adoption.after = FIRST
