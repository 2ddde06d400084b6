"""Steps that the engine does at once."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta

from services.workflow import limits
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.steps.base import StepBase
from shared.errors import FieldFault

_EVENT_TYPE = re.compile(r"[!-~]+\Z")
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


class TransformStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="transform"):
    """Builds a value from templates alone: its rendered `input` is its output."""


class EmitStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="emit"):
    """Publishes `input` as the data of a CloudEvent on `events.<tenant>.external.<subject>`, at least once.

    `event_type` is its `ce-type` (default: the subject). Event triggers hear it as they hear any other event.
    """

    subject: Annotated[str, Meta(min_length=1, max_length=limits.MAX_SUBJECT_CHARS)]
    event_type: Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME_CHARS)] | None = None

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, **self.payload()}

    def payload(self) -> dict[str, Any]:
        return {"subject": self.subject, "event_type": self.event_type or self.subject}

    def faults(self, path: str) -> Iterator[FieldFault]:
        if "{" not in self.subject and not is_subject(self.subject):
            yield fault(
                f"{path}.subject", "a subject such as orders.paid is expected, without wildcards", "bad_subject"
            )
        event_type = self.event_type
        if event_type is not None and "{" not in event_type and not is_event_type(event_type):
            yield fault(f"{path}.event_type", "letters, digits and signs of ASCII are expected", "bad_event_type")


def is_event_type(text: str) -> bool:
    """Whether a text can stand in a message's header as the type of an event."""
    return len(text) <= limits.MAX_NAME_CHARS and _EVENT_TYPE.match(text) is not None


def is_subject(text: str) -> bool:
    """Whether a text is a NATS subject that can be published on: tokens of letters, digits, _ and -."""
    return len(text) <= limits.MAX_SUBJECT_CHARS and _SUBJECT.match(text) is not None
