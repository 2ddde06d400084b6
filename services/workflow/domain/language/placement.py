"""Where each step of a definition stands, and which steps it may refer to: those that are sure to be over by then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.steps import COMPENSATE, ON_ERROR, Branch, Step


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A step with its path in the definition, the step that holds it and through which branch, and its index there.

    `key` says which list of a keyed branch it is in.
    """

    step: Step
    path: str
    holder: "Place | None"
    branch: Branch | None
    key: str | None
    index: int

    def line(self) -> list["Place"]:
        """Return the places from the top of the definition down to this one."""
        line = [self]
        while (holder := line[-1].holder) is not None:
            line.append(holder)
        return line[::-1]

    def locals(self) -> Iterator[str]:
        """Yield the names that the repeated branches around it bring, the innermost first."""
        for place in reversed(self.line()):
            if place.branch is not None and place.branch.repeated and place.holder is not None:
                yield from place.holder.step.locals()


def places_of(steps: Sequence[Step]) -> Iterator[Place]:
    """Yield every step of a definition, holders before what they hold."""
    for index, step in enumerate(steps):
        yield from _places(Place(step, f"steps[{index}]", None, None, None, index))


def why_not_before(target: Place, source: Place | None, *, inside: bool = False) -> str | None:
    """Return why `source` cannot use the result of `target`, as the end of a sentence; None if it can.

    Without a source it is used when all steps are over; `inside`: when the repeated branch of `source` is.
    """
    theirs = target.line()
    ours = [] if source is None else source.line()
    depth = 0
    while depth < min(len(ours), len(theirs)) and ours[depth] is theirs[depth]:
        depth += 1
    if source is not None and (why := _why_not_after(ours, theirs, depth, inside=inside)):
        return why
    for place in theirs[depth + 1 :]:
        if place.branch is not None and place.holder is not None:
            if place.branch.repeated:
                return f"runs inside {place.holder.step.name!r}, whose output holds what each iteration gave"
            if place.branch.field == COMPENSATE:
                return f"runs only when {place.holder.step.name!r} is undone"
    return None


def _why_not_after(ours: list[Place], theirs: list[Place], depth: int, *, inside: bool) -> str | None:
    """Say what keeps the line of places `theirs` from being over when `ours` begins; they part at `depth`."""
    if depth == len(theirs) == len(ours):
        return "is this step itself"
    if depth == len(theirs):
        return None if _is_after(ours[depth]) else "holds this step and is not over yet"
    if depth == len(ours):
        return None if inside and _is_repeated(theirs[depth]) else "comes later"
    here, there = ours[depth], theirs[depth]
    if (here.branch, here.key) != (there.branch, there.key):
        return None if _is_after(here) and not _is_after(there) else "is in the other branch"
    if here.branch is not None and here.branch.concurrent:
        return "runs at the same time"
    return None if there.index < here.index else "comes later"


def _is_after(place: Place) -> bool:
    """Whether the step begins only when the one that holds it has failed or is undone."""
    return place.branch is not None and place.branch.field in {ON_ERROR, COMPENSATE}


def _is_repeated(place: Place) -> bool:
    return place.branch is not None and place.branch.repeated


def _places(place: Place) -> Iterator[Place]:
    yield place
    for group in place.step.groups():
        path = join_path(place.path, group.branch.field)
        if group.key is not None:
            path = join_path(path, group.key)
        for index, step in enumerate(group.steps):
            at = f"{path}[{index}]" if group.listed else path
            yield from _places(Place(step, at, place, group.branch, group.key, index))
