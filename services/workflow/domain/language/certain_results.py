"""Which results a step can count on: why one that comes before it may still not be there when it is referred to."""

from services.workflow.domain.language.certainty import Foregone
from services.workflow.domain.language.placement import Place
from services.workflow.domain.language.steps import StepBase

# The one field whose steps run whenever their holder does; all others hold steps for a case (`if_true`, `on_timeout`).
_BODY = "steps"


class Results:
    """Answers about the places of one definition; each condition is read once."""

    def __init__(self) -> None:
        self._read: dict[str, Foregone] = {}

    def foregone(self, condition: str) -> Foregone:
        """Return what is known of a valid condition."""
        known = self._read.get(condition)
        if known is None:
            known = self._read[condition] = Foregone(condition)
        return known

    def why_missing(self, target: Place, source: Place | None) -> str | None:
        """Return why `target` may have no result where `source` uses it, as the end of a sentence; None if it has.

        Without a `source` it is used when all steps are over. A source whose own conditions hold only if the result
        is there, or that runs under the same `when`, can count on it.
        """
        theirs = target.line()
        ours = [] if source is None else source.line()
        shared = 0
        while shared < min(len(ours), len(theirs)) and ours[shared] is theirs[shared]:
            shared += 1
        if shared == len(theirs) or target.step.name in self._proven(ours):
            return None
        same = {place.step.when for place in ours}
        for depth in range(shared, len(theirs)):
            place = theirs[depth]
            when = place.step.when
            if when is not None and when not in same and self.foregone(when).constant is not True:
                return f"is skipped when the 'when' of {place.step.name!r} is false"
            if depth > shared and (why := self._why_not_reached(place)):
                return why
            if place is not target and goes_on_after_failure(place.step):
                return f"may not be reached, since {place.step.name!r} goes on after a failure inside it"
        return None

    def mentioned(self, name: str, source: Place | None) -> bool:
        """Return whether a condition that `source` runs under names the step: its author has thought of it."""
        ours = [] if source is None else source.line()
        return any(name in self.foregone(text).mentions for place in ours for text in _above(place))

    def _proven(self, ours: list[Place]) -> frozenset[str]:
        proven: set[str] = set()
        for place in ours:
            if place.step.when is not None:
                proven |= self.foregone(place.step.when).exist_if_true
            chosen = _chosen_by(place)
            if chosen is not None:
                condition, truth = chosen
                foregone = self.foregone(condition)
                proven |= foregone.exist_if_true if truth else foregone.exist_if_false
        return frozenset(proven)

    def _why_not_reached(self, place: Place) -> str | None:
        holder, branch = place.holder, place.branch
        if holder is None or branch is None:
            return None
        if branch.concurrent:
            return (
                f"may be among those that {holder.step.name!r} does not wait for" if takes_some(holder.step) else None
            )
        chosen = _chosen_by(place)
        if branch.field == _BODY or (chosen and self.foregone(chosen[0]).constant is chosen[1]):
            return None
        return f"is reached only if {holder.step.name!r} takes that branch"


def takes_some(step: StepBase) -> bool:
    """Return whether a step may be over before all that it runs at once is."""
    quorum = getattr(step, "quorum", None)
    return quorum is not None and quorum() < len(getattr(step, _BODY))


def goes_on_after_failure(step: StepBase) -> bool:
    """Return whether steps that follow run although this one failed."""
    return step.on_error != "fail"


def _chosen_by(place: Place) -> tuple[str, bool] | None:
    """Return the condition that leads to a step in a branch of its holder, and its value then."""
    if place.holder is None or place.branch is None or place.branch.field not in {"if_true", "if_false"}:
        return None
    condition = place.holder.step.conditions().get("condition")
    return None if condition is None else (condition, place.branch.field == "if_true")


def _above(place: Place) -> list[str]:
    texts = [] if place.step.when is None else [place.step.when]
    chosen = _chosen_by(place)
    return texts if chosen is None else [*texts, chosen[0]]
