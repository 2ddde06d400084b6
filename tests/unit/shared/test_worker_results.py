"""What a worker sends of a result that cannot be sent."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from shared.bus.tasks import Task, TaskError, TaskResult
from shared.bus.worker import _encoded

ID = UUID(int=1)
TASK = Task("a/b/1", ID, ID, "b", 1, 0, 2**53, {})


@pytest.mark.parametrize(
    "rest",
    [
        {"output": {"text": "half \ud800"}},
        {"output": {"half \ud800": 1}},
        {"error": TaskError("http_failed", "half \ud800")},
    ],
)
def test_half_of_a_surrogate_pair_is_answered_with_an_error(rest: dict[str, Any]) -> None:
    sent = msgspec.json.decode(_encoded(TASK, TaskResult(ID, "b", 1, "ok", **rest)), type=TaskResult)
    assert (sent.execution_id, sent.step_path, sent.attempt, sent.status, sent.output) == (ID, "b", 1, "error", None)
    assert sent.error is not None
    assert sent.error.code == "result_bad_text"
