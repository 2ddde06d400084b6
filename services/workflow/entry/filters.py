"""Query parameters by which lists are narrowed."""

import datetime as dt
import re
from typing import Annotated, Literal
from uuid import UUID

from litestar.datastructures import State
from litestar.params import Parameter, QueryParameter

from services.workflow.app.lists import FIRST, LAST, STATUSES, ExecutionFilter, Span
from services.workflow.domain.labels import TAG
from services.workflow.domain.language.fields import IDENTIFIER
from services.workflow.limits import MAX_ATTRIBUTE_CHARS, MAX_ATTRIBUTE_NAME_CHARS, MAX_FILTERED_ATTRIBUTES
from shared.errors import FieldFault, InvalidInput
from shared.http.pages import Word
from shared.scope import TenantScope

Status = Literal["pending", "running", "waiting", "paused", "completed", "failed", "cancelled"]
Time = Annotated[
    dt.datetime | None, Parameter(description="RFC 3339; without an offset it is UTC. After: at it or later.")
]
_IDENTIFIER = re.compile(IDENTIFIER)
_PAIR_CHARS = MAX_ATTRIBUTE_NAME_CHARS + 1 + MAX_ATTRIBUTE_CHARS


def spans(
    started_after: Time = None,
    started_before: Time = None,
    ended_after: Time = None,
    ended_before: Time = None,
) -> tuple[Span, Span | None]:
    """Return when executions started and, if that was asked for, ended."""
    ended = None
    if ended_after is not None or ended_before is not None:
        ended = span(ended_after, ended_before, "ended")
    return span(started_after, started_before, "started"), ended


async def wanted_executions(
    caller: TenantScope,
    state: State,
    times: tuple[Span, Span | None],
    workflow_id: Word = None,
    status_filter: Annotated[
        list[Status] | None, QueryParameter(name="status", description="In one of these statuses. Repeatable.")
    ] = None,
    tag: Annotated[list[str] | None, Parameter(description="Started with this tag. Repeatable: with all.")] = None,
    attribute: Annotated[
        list[str] | None, Parameter(description="`NAME:VALUE`, such as `customer:c-1`. Repeatable: with all.")
    ] = None,
    trigger: Word = None,
) -> ExecutionFilter:
    """Return which executions a request asks for. Raises `InvalidInput`, and `WorkflowNotFound` for a slug."""
    started, ended = times
    labels = [*map(_attribute, attribute or ()), *(_label(TAG, value, "tag") for value in tag or ())]
    if len(labels) > MAX_FILTERED_ATTRIBUTES:
        raise InvalidInput(f"At most {MAX_FILTERED_ATTRIBUTES} attributes and tags narrow one list.")
    return ExecutionFilter(
        statuses=STATUSES if not status_filter else tuple(dict.fromkeys(status_filter)),
        workflow_id=None if workflow_id is None else await workflow_of(state, caller, workflow_id),
        trigger=trigger,
        labels=tuple(dict.fromkeys(labels)),
        started=started,
        ended=ended,
    )


async def workflow_of(state: State, caller: TenantScope, ref: str) -> UUID:
    """Return the id that is meant by an id or a slug. Raises `WorkflowNotFound` for a slug that no workflow has."""
    try:
        return UUID(ref)
    except ValueError:
        found: UUID = (await state.workflows.read(caller, None, ref))["id"]
        return found


def span(after: dt.datetime | None, before: dt.datetime | None, what: str) -> Span:
    """Return a span of time."""
    return Span(
        FIRST if after is None else _utc(after, f"{what}_after"),
        LAST if before is None else _utc(before, f"{what}_before"),
    )


def _utc(time: dt.datetime, name: str) -> dt.datetime:
    if time.tzinfo is None:
        time = time.replace(tzinfo=dt.UTC)
    try:
        return min(max(time.astimezone(dt.UTC), FIRST), LAST)
    except OverflowError as error:
        raise InvalidInput(f"{name} is no time.", faults=[FieldFault(name, "out of range")]) from error


def _attribute(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _IDENTIFIER.fullmatch(name) or len(text) > _PAIR_CHARS:
        message = "an attribute is written NAME:VALUE, such as customer:c-1"
        raise InvalidInput(f"{message}.", faults=[FieldFault("attribute", message)])
    return _label(name, value, "attribute")


def _label(name: str, value: str, parameter: str) -> tuple[str, str]:
    if "\x00" in value or len(value) > MAX_ATTRIBUTE_CHARS:
        message = f"at most {MAX_ATTRIBUTE_CHARS} characters, and no U+0000"
        raise InvalidInput(f"{parameter}: {message}.", faults=[FieldFault(parameter, message)])
    return name, value
