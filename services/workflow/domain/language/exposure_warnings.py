"""What may surprise the author of a workflow that MCP clients find among their tools."""

from collections.abc import Iterable, Iterator

from services.workflow import limits
from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.exposure import exposure_of, tool_name_of
from services.workflow.domain.language.placement import Place
from services.workflow.domain.language.steps.base import StepBase
from shared.errors import FieldFault

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def exposure_warnings(definition: Definition, places: Iterable[Place]) -> Iterator[FieldFault]:
    """Yield the warnings about a definition's `expose_as_tool`."""
    exposure = exposure_of(definition)
    if exposure is None:
        return
    if definition.input_schema is None:
        message = "there is no input_schema: a client is not told which arguments there are, and none is checked"
        yield fault("expose_as_tool", message, "tool_undescribed")
    if not (exposure.description or definition.description):
        message = "there is no description: it is by this that a model chooses a tool"
        yield fault("expose_as_tool", message, "tool_undescribed")
    if len(tool_name_of(definition) or "") > limits.EXPOSED_NAME_PLAIN_CHARS:
        message = (
            f"with a server's name before it this name has more than {limits.MAX_EXPOSED_NAME_CHARS} characters, which "
            "many models do not take"
        )
        yield fault("expose_as_tool", message, "tool_name_long")
    for place in places:
        if place.step.type in {"approval", "wait_for_event"}:
            message = f"a call does not wait for {place.step.name!r}: the client is told to ask for the result later"
            yield fault(place.path, message, "tool_waits")
        elif exposure.read_only and _acts(place.step):
            message = f"the tool is said to change nothing, and {place.step.name!r} may"
            yield fault(place.path, message, "tool_not_read_only")


def _acts(step: StepBase) -> bool:
    return step.type == "emit" or (step.type == "http" and getattr(step, "method", "GET") not in _READING)
