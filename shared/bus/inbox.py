"""What a worker answered lately, so that a task that comes again is answered and not done again."""

from collections import OrderedDict

from shared.limits import WORKER_MEMORY_BYTES, WORKER_MEMORY_ITEMS


class Inbox:
    """The last answers by task, bounded in number and in bytes; the longest unused go first.

    It is kept in memory: beyond its bounds, and after a crash, a task may be done twice. It is recorded once: the
    engine sees to that.
    """

    def __init__(self, items: int = WORKER_MEMORY_ITEMS, size: int = WORKER_MEMORY_BYTES) -> None:
        self._items_max = items
        self._bytes_max = size
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def answer_to(self, task: str) -> bytes | None:
        """Return the encoded answer, if it is still known."""
        answer = self._answers.get(task)
        if answer is not None:
            self._answers.move_to_end(task)
        return answer

    def remember(self, task: str, answer: bytes) -> None:
        """Remember an answer. One that is larger than all that may be kept is not."""
        known = self._answers.pop(task, None)
        if known is not None:
            self._bytes -= len(known)
        if len(answer) > self._bytes_max:
            return
        self._answers[task] = answer
        self._bytes += len(answer)
        while len(self._answers) > self._items_max or self._bytes > self._bytes_max:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest)
