"""What is known beforehand of the object that a step gives."""

from services.workflow.domain.language.steps import StepBase

_OF_TYPES = {"http": frozenset({"status", "headers", "body"})}


def fields_of_result(step: StepBase) -> frozenset[str] | None:
    """Return the fields of the step's raw result; None where they cannot be known or it need not be an object."""
    if step.type == "transform" and isinstance(step.input, dict):
        return frozenset(step.input)
    return _OF_TYPES.get(step.type)


def fields_of_output(step: StepBase) -> frozenset[str] | None:
    """Return the fields of what others see of the step, if it does not fail."""
    return frozenset(step.output_mapping) if step.output_mapping else fields_of_result(step)
