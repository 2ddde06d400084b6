"""What can be wrong with a definition when it is read, and with its expressions when they are evaluated."""

from collections.abc import Iterable, Sequence
from heapq import nsmallest

from services.workflow.limits import MAX_FAULT_MESSAGE_CHARS, MAX_REPORTED_FAULTS, MAX_REPORTED_NAMES
from shared.errors import FieldFault, PlatformError


def fault(path: str, message: str, code: str, position: int | None = None) -> FieldFault:
    """Return a fault whose message is cut at a bound: messages quote what a caller sent."""
    if len(message) > MAX_FAULT_MESSAGE_CHARS:
        message = message[: MAX_FAULT_MESSAGE_CHARS - 1] + "…"
    return FieldFault(path=path, message=message, code=code, position=position)


class _Faulty(PlatformError):
    """An error that is a list of faults: the message counts them and quotes the first."""

    what = "input"

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        first = faults[0]
        where = f" at {first.path}" if first.path else ""
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(
            f"The {self.what} has {count}. First{where}: {first.message}",
            faults=list(faults[:MAX_REPORTED_FAULTS]),
        )


class DefinitionInvalid(_Faulty):
    """A workflow definition is not one that could run; `faults` has all that is wrong with it."""

    code = "definition_invalid"
    what = "workflow definition"


class InputInvalid(_Faulty):
    """An execution's input does not fit the definition's `input_schema`."""

    code = "input_invalid"
    what = "input"


class TemplateInvalid(_Faulty):
    """A template cannot be compiled. Paths are relative to the template's root."""

    code = "template_invalid"
    what = "template"


class ConcurrencyKeyInvalid(_Faulty):
    """The data of a start gives no concurrency key."""

    code = "concurrency_key_invalid"
    what = "concurrency key"


class ConditionInvalid(PlatformError):
    """A JSONPath expression cannot be compiled; `position` is an offset in characters."""

    code = "condition_invalid"

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message, faults=[fault("", message, self.code, position)])
        self.position = position


class ExpressionTooCostly(PlatformError):
    """Evaluating a JSONPath expression visited more nodes than one evaluation may."""

    code = "expression_too_costly"


class TemplateUnresolved(PlatformError):
    """A placeholder refers to what does not exist (yet). `details` names the reference and the names that do exist."""

    code = "template_unresolved"

    def __init__(self, reference: str, missing: str, known: Iterable[object]) -> None:
        every = [str(name) for name in known]
        names = nsmallest(MAX_REPORTED_NAMES, every)
        shown = ", ".join(names) or "nothing"
        more = f" and {len(every) - len(names)} more" if len(every) > len(names) else ""
        super().__init__(
            f"{{{reference}}} cannot be resolved: there is no {missing}. What exists there: {shown}{more}.",
            details={"reference": reference, "missing": missing, "known": names},
        )


class TemplateFilterFailed(PlatformError):
    """A filter got a value that it has no meaning for, such as `upper` of a list."""

    code = "template_filter_failed"


class TemplateTooLarge(PlatformError):
    """A rendered template is above its bound."""

    code = "template_too_large"


class SecretMisplaced(PlatformError):
    """Data that was rendered beside a secret contains the text of a secret placeholder: resolving it would leak."""

    code = "template_secret_misplaced"


class MappingUnresolved(PlatformError):
    """An `output_mapping` path finds nothing in the step's result."""

    code = "mapping_unresolved"
