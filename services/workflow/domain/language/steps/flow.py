"""Steps that hold others and decide which of them run, how often and how many at once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from services.workflow import limits
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.fields import Expression, StepName
from services.workflow.domain.language.steps.base import Branch, StepBase, no_steps
from shared.errors import FieldFault

if TYPE_CHECKING:
    from services.workflow.domain.language.steps import Step


class ConditionalStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="conditional"):
    """Takes one branch: `if_true` or `if_false` by a `condition`, or the one of `branches` that `switch` names.

    Without `if_false` a false condition does nothing; without `default` a value that has no branch does nothing.
    """

    condition: Expression | None = None
    if_true: "Step | list[Step]" = msgspec.field(default_factory=list)
    if_false: "Step | list[Step]" = msgspec.field(default_factory=list)
    switch: str | None = None
    branches: "dict[str, Step | list[Step]]" = msgspec.field(default_factory=dict)
    default: "Step | list[Step]" = msgspec.field(default_factory=list)

    holds = (
        Branch("if_true"),
        Branch("if_false"),
        Branch("branches", keyed=True),
        Branch("default"),
        *StepBase.holds,
    )

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, "switch": self.switch}

    def payload(self) -> dict[str, Any]:
        return {"switch": self.switch}

    def conditions(self) -> dict[str, str]:
        return super().conditions() | ({} if self.condition is None else {"condition": self.condition})

    def faults(self, path: str) -> Iterator[FieldFault]:
        if (self.condition is None) == (self.switch is None):
            yield fault(f"{path}.condition", "a conditional has either a 'condition' or a 'switch'", "bad_conditional")
        elif self.switch is None:
            yield from no_steps(f"{path}.if_true", self.if_true, "a branch that is taken has at least one step")
            yield from _not_with(path, "a condition", branches=self.branches, default=self.default)
        else:
            if not self.branches:
                yield fault(f"{path}.branches", "a switch has at least one branch", "no_steps")
            if len(self.branches) > limits.MAX_BRANCHES:
                yield fault(f"{path}.branches", f"at most {limits.MAX_BRANCHES} branches", "too_many_branches")
            yield from _not_with(path, "a switch", if_true=self.if_true, if_false=self.if_false)


class ParallelStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="parallel"):
    """Runs its steps at once and waits for `all`, `any` or `count:N` of them."""

    steps: "list[Step]"
    wait_for: Annotated[str, Meta(extra_json_schema={"pattern": "^(all|any|count:[1-9][0-9]{0,3})$"})] = "all"

    holds = (Branch("steps", concurrent=True, single=False), *StepBase.holds)

    def quorum(self) -> int:
        """Return how many steps have to complete. Raises `ValueError` for what `faults` reports."""
        if self.wait_for in {"all", "any"}:
            return len(self.steps) if self.wait_for == "all" else 1
        word, _, number = self.wait_for.partition(":")
        if word == "count" and number.isascii() and number.isdigit() and 1 <= int(number[:5]) <= len(self.steps):
            return int(number)
        raise ValueError(f"wait_for is 'all', 'any' or 'count:N' with N from 1 to {len(self.steps)}")

    def faults(self, path: str) -> Iterator[FieldFault]:
        if not self.steps:
            yield from no_steps(f"{path}.steps", self.steps, "a parallel step has at least one step")
            return
        try:
            self.quorum()
        except ValueError as error:
            yield fault(f"{path}.wait_for", str(error), "bad_wait_for")


class ForeachStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="foreach"):
    """Runs its steps once for each of `items` (a template that gives a list), `max_concurrency` at a time.

    Inside, the item is known by the name in `as` and its place as `<as>_index`. The output is the list of what the last
    step of each iteration gave, in the items' order; an iteration that failed fails the whole.
    """

    items: Any
    steps: "list[Step]"
    as_: StepName = msgspec.field(name="as", default="item")
    max_concurrency: Annotated[int, Meta(ge=1, le=limits.MAX_FOREACH_CONCURRENCY)] = limits.DEFAULT_FOREACH_CONCURRENCY

    holds = (Branch("steps", repeated=True, single=False), *StepBase.holds)

    def locals(self) -> tuple[str, ...]:
        return (self.as_, f"{self.as_}_index")

    def templates(self) -> dict[str, Any]:
        return {"input": self.input, "items": self.items}

    def payload(self) -> dict[str, Any]:
        return {"items": self.items}

    def faults(self, path: str) -> Iterator[FieldFault]:
        yield from no_steps(f"{path}.steps", self.steps, "a foreach has at least one step")
        if not isinstance(self.items, str | list) or (isinstance(self.items, str) and "{" not in self.items):
            yield fault(f"{path}.items", "a list, or a template that gives one, is expected", "wrong_type")
        elif isinstance(self.items, list) and len(self.items) > limits.MAX_FOREACH_ITEMS:
            yield fault(f"{path}.items", f"a foreach has at most {limits.MAX_FOREACH_ITEMS:,} items", "too_many_items")


class LoopStep(StepBase, frozen=True, kw_only=True, tag_field="type", tag="loop"):
    """Runs its steps again and again until `condition` holds over what they gave, at most `max_iterations` times.

    Inside, the name in `as` has `index` and `previous`, what the last step of the iteration before gave. The output is
    `{iterations, condition_met, result}`.
    """

    steps: "list[Step]"
    condition: Expression
    max_iterations: Annotated[int, Meta(ge=1, le=limits.MAX_LOOP_ITERATIONS)] = limits.DEFAULT_LOOP_ITERATIONS
    as_: StepName = msgspec.field(name="as", default="iteration")

    holds = (Branch("steps", repeated=True, single=False), *StepBase.holds)

    def locals(self) -> tuple[str, ...]:
        return (self.as_,)

    def conditions_inside(self) -> dict[str, str]:
        return {"condition": self.condition}

    def faults(self, path: str) -> Iterator[FieldFault]:
        yield from no_steps(f"{path}.steps", self.steps, "a loop has at least one step")


def _not_with(path: str, what: str, **fields: Any) -> Iterator[FieldFault]:
    for name, value in fields.items():
        if value:
            yield fault(f"{path}.{name}", f"{name!r} has no meaning beside {what}", "bad_conditional")
