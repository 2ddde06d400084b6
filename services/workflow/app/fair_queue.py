"""The engine's queue: what began goes on before more begins, and among starts no tenant waits for another's thousands.

Whatever is put in costs the same, however much there is. Starts of one tenant go by priority, then by arrival.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from uuid import UUID

from services.workflow.app.items import Item, StartItem
from services.workflow.limits import STARTS_AT_LEAST


class FairQueue:
    """A `deque` of items as the engine uses one, but that `popleft` chooses.

    Results, wake-ups and controls come before starts, and one in `STARTS_AT_LEAST` is a start all the same. What is put
    back in front (`extendleft`) comes first of all. The tenants that have starts take turns.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._front: deque[Item] = deque()
        self._going: deque[Item] = deque()
        self._starts: dict[UUID, _Starts] = {}
        self._turns: deque[_Starts] = deque()
        self._waiting = 0
        self._since_start = 0
        self.extend(items)

    def __len__(self) -> int:
        return len(self._front) + len(self._going) + self._waiting

    def __iter__(self) -> Iterator[Item]:
        yield from self._front
        yield from self._going
        for starts in self._turns:
            yield from starts

    def append(self, item: Item) -> None:
        """Put an item in its place."""
        if not isinstance(item, StartItem):
            self._going.append(item)
            return
        starts = self._starts.get(item.tenant_id)
        if starts is None:
            starts = self._starts[item.tenant_id] = _Starts(item.tenant_id)
            self._turns.append(starts)
        starts.append(item)
        self._waiting += 1

    def extend(self, items: Iterable[Item]) -> None:
        """Put items in their places."""
        for item in items:
            self.append(item)

    def extendleft(self, items: Iterable[Item]) -> None:
        """Put items before all others, the last of them first, as a `deque` does."""
        self._front.extendleft(items)

    def popleft(self) -> Item:
        """Take the next item. Raises `IndexError` if there is none."""
        if self._front:
            return self._front.popleft()
        if self._going and (not self._waiting or self._since_start < STARTS_AT_LEAST - 1):
            self._since_start += 1
            return self._going.popleft()
        self._since_start = 0
        return self._next_start()

    def _next_start(self) -> StartItem:
        starts = self._turns.popleft()
        item = starts.popleft()
        self._waiting -= 1
        if starts:
            self._turns.append(starts)
        else:
            del self._starts[starts.tenant_id]
        return item


class _Starts:
    """What one tenant wants started: a queue a priority, of which there are ten."""

    def __init__(self, tenant_id: UUID) -> None:
        self.tenant_id = tenant_id
        self._by_priority: dict[int, deque[StartItem]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_priority)

    def __iter__(self) -> Iterator[StartItem]:
        for priority in sorted(self._by_priority, reverse=True):
            yield from self._by_priority[priority]

    def append(self, item: StartItem) -> None:
        queue = self._by_priority.get(item.priority)
        if queue is None:
            queue = self._by_priority[item.priority] = deque()
        queue.append(item)

    def popleft(self) -> StartItem:
        priority = max(self._by_priority)
        queue = self._by_priority[priority]
        item = queue.popleft()
        if not queue:
            del self._by_priority[priority]
        return item
