"""Fair shares of partitions: every process computes the same from who lives and what is owned."""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from services.workflow.app.ports import Owners
from services.workflow.limits import MOVED_AT_ONCE
from shared.bus.tasks import PARTITIONS


class Move(msgspec.Struct, frozen=True):
    """What a process should do next about its share: take free partitions, or give some up; never both."""

    take: list[int] = []
    give: list[int] = []


def quota(living: Sequence[UUID], engine_id: UUID, partitions: int = PARTITIONS) -> int:
    """Return how many partitions an engine should own. All are given out; the oldest get one more if they must."""
    each, rest = divmod(partitions, len(living))
    return each + (living.index(engine_id) < rest)


def next_move(owners: Owners, engine_id: UUID, held: Collection[int]) -> Move:
    """Return the next step of an engine that holds these partitions towards its quota.

    Only `MOVED_AT_ONCE` partitions are without an owner on purpose: the next ones are given when those were taken.
    """
    if engine_id not in owners.living:
        return Move()
    free = [partition for partition in range(PARTITIONS) if partition not in owners.by_partition]
    # Ours and not held: something broke off between the two. Taken again.
    left = [p for p, owner in owners.by_partition.items() if owner == engine_id and p not in held]
    wanted = quota(owners.living, engine_id) - len(held)
    if wanted >= 0:
        return Move(take=(left + free)[:wanted]) if wanted else Move()
    surplus = min(-wanted, max(0, MOVED_AT_ONCE - len(free)))
    return Move(give=sorted(held)[-surplus:] if surplus else [])
