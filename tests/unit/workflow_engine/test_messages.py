"""Commands on NATS: what no database takes is refused where it is read, before a batch is written with it."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.workflow.entry.messages import ControlExecution, StartExecution


def start(**fields: Any) -> StartExecution:
    whole = {"execution_id": str(uuid4()), "tenant_id": str(uuid4()), "workflow": "area", **fields}
    return msgspec.json.decode(msgspec.json.encode(whole), type=StartExecution)


@pytest.mark.parametrize("field", ["workflow", "trigger", "actor"])
@pytest.mark.parametrize("text", ["", "a\x00b", "a\n\x00", "a" * 256])
def test_a_label_that_cannot_be_stored_is_refused(field: str, text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        start(**{field: text})


@pytest.mark.parametrize("text", ["a", "a\nb", "ü" * 255])
def test_any_other_label_is_taken(text: str) -> None:
    assert (start(workflow=text).workflow, start(trigger=text).trigger) == (text, text)


@pytest.mark.parametrize("actor", ["", "user:a\x00", "a" * 256])
def test_nor_does_anybody_control_in_such_a_name(actor: str) -> None:
    whole = {"execution_id": str(uuid4()), "tenant_id": str(uuid4()), "action": {"type": "resume"}, "actor": actor}
    with pytest.raises(msgspec.ValidationError, match="actor"):
        msgspec.json.decode(msgspec.json.encode(whole), type=ControlExecution)
