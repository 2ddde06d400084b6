"""Where each step of a definition stands, and which steps it may refer to: those that are sure to be over by then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.steps import Branch, Step


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A step with its path in the definition, the step that holds it and through which branch, and its index there."""

    step: Step
    path: str
    holder: "Place | None"
    branch: Branch | None
    index: int

    def line(self) -> list["Place"]:
        """Return the places from the top of the definition down to this one."""
        line = [self]
        while (holder := line[-1].holder) is not None:
            line.append(holder)
        return line[::-1]


def places_of(steps: Sequence[Step]) -> Iterator[Place]:
    """Yield every step of a definition, holders before what they hold."""
    yield from _sequence(steps, "steps", None, None)


def why_not_before(target: Place, source: Place) -> str | None:
    """Return why `source` cannot use the result of `target`, as the end of a sentence; None if it can."""
    if target is source:
        return "is this step itself"
    ours, theirs = source.line(), target.line()
    for here, there in zip(ours, theirs, strict=False):
        if here is there:
            continue
        if here.branch is not there.branch:
            return "is in the other branch"
        if here.branch is not None and here.branch.concurrent:
            return "runs at the same time"
        return None if there.index < here.index else "comes later"
    return "comes later" if len(theirs) > len(ours) else "holds this step and is not over yet"


def _sequence(held: Step | Sequence[Step], path: str, holder: Place | None, branch: Branch | None) -> Iterator[Place]:
    listed = isinstance(held, Sequence)
    for index, step in enumerate(held if isinstance(held, Sequence) else (held,)):
        place = Place(step, f"{path}[{index}]" if listed else path, holder, branch, index)
        yield place
        for inner in step.branches:
            yield from _sequence(getattr(step, inner.field), join_path(place.path, inner.field), place, inner)
