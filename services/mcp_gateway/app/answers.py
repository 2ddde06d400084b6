"""What was answered lately, so that a task that comes again is answered and not done again."""

from collections import OrderedDict

from services.mcp_gateway.limits import ANSWERS_REMEMBERED, ANSWERS_REMEMBERED_BYTES


class AnswerMemory:
    """The last answers by task id, bounded in number and in bytes; the longest unused go first."""

    def __init__(self, answers: int = ANSWERS_REMEMBERED, size: int = ANSWERS_REMEMBERED_BYTES) -> None:
        self._answers_max = answers
        self._bytes_max = size
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, task_id: str) -> bytes | None:
        """Return the encoded answer, if it is still known."""
        answer = self._answers.get(task_id)
        if answer is not None:
            self._answers.move_to_end(task_id)
        return answer

    def put(self, task_id: str, answer: bytes) -> None:
        """Remember an answer. One that is larger than all that may be kept is not."""
        known = self._answers.pop(task_id, None)
        if known is not None:
            self._bytes -= len(known)
        if len(answer) > self._bytes_max:
            return
        self._answers[task_id] = answer
        self._bytes += len(answer)
        while len(self._answers) > self._answers_max or self._bytes > self._bytes_max:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest)
