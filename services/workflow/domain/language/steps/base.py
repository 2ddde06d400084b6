"""What every step has, and what a type tells the validator and the compiler about itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from services.workflow import limits
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.fields import (
    Expression,
    Mapping,
    Priority,
    RetryCount,
    StepName,
    TimeoutSeconds,
)
from services.workflow.domain.language.retry import RetrySettings
from shared.errors import FieldFault

if TYPE_CHECKING:
    from services.workflow.domain.language.steps import Step

ON_ERROR = "on_error"
COMPENSATE = "compensate"
STEPS = "steps"


class Branch(msgspec.Struct, frozen=True):
    """A field that holds steps.

    `concurrent`: they run all at once. `repeated`: the list runs once an iteration, and names in it are seen inside it
    alone. `keyed`: an object of lists, one of which is taken. `single`: one step may stand for a list of one.
    """

    field: str
    concurrent: bool = False
    repeated: bool = False
    keyed: bool = False
    single: bool = True


class Group(msgspec.Struct, frozen=True):
    """A list of steps that a step holds: its branch, and which of a keyed branch's lists it is."""

    branch: Branch
    steps: "tuple[Step, ...]"
    listed: bool
    key: str | None = None

    @property
    def name(self) -> str:
        """What the branch is called in events: `if_true`, `branches.red`."""
        return self.branch.field if self.key is None else f"{self.branch.field}.{self.key}"


class StepBase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every step has. The class variables and methods tell the validator and the compiler about a type."""

    name: StepName
    input: Any = msgspec.field(default_factory=dict)
    output_mapping: Mapping = msgspec.field(default_factory=dict)
    max_retries: RetryCount | None = None
    retry: RetrySettings | None = None
    timeout_seconds: TimeoutSeconds | None = None
    priority: Priority | None = None
    when: Expression | None = None
    on_error: "Literal['fail', 'continue'] | Step | list[Step]" = "fail"
    compensate: "Step | list[Step] | None" = None

    holds: ClassVar[tuple[Branch, ...]] = (Branch(ON_ERROR), Branch(COMPENSATE))
    # A worker does it: the definition's retries apply to it, and `task_timeout_seconds` where it names no time itself.
    is_task: ClassVar[bool] = False
    task_timeout_seconds: ClassVar[float | None] = limits.DEFAULT_TASK_TIMEOUT_SECONDS
    # The fields whose templates may hold {secret.NAME}: only what goes to a worker and nowhere else.
    secret_fields: ClassVar[frozenset[str]] = frozenset()

    @property
    def type(self) -> str:
        """The name of the step's type, as definitions write it."""
        return str(self.__struct_config__.tag)

    def groups(self) -> "Iterator[Group]":
        """Yield the lists of steps that it holds. Of a keyed branch an empty one counts, too: it is one way to go."""
        for branch in self.holds:
            held = getattr(self, branch.field)
            if branch.keyed:
                for key, steps in held.items():
                    yield _group(branch, steps, key)
            elif held and not isinstance(held, str):
                yield _group(branch, held, None)

    def locals(self) -> tuple[str, ...]:
        """Return the names that steps in its repeated branch see beside those of steps."""
        return ()

    def templates(self) -> dict[str, Any]:
        """Return the fields that are templates, by name."""
        return {"input": self.input}

    def conditions(self) -> dict[str, str]:
        """Return the fields that are conditions and are evaluated where the step stands, by name."""
        return {} if self.when is None else {"when": self.when}

    def conditions_inside(self) -> dict[str, str]:
        """Return the fields that are conditions over what its repeated branch has done, by name."""
        return {}

    def payload(self) -> dict[str, Any] | None:
        """Return the template of what the step does, for the worker or the engine; None if `input` says it all."""
        return None

    def faults(self, path: str) -> Iterator[FieldFault]:  # noqa: ARG002 - types with rules of their own use it
        """Yield what is wrong by the type's own rules; `path` is where the step stands."""
        yield from ()


def no_steps(path: str, steps: Any, message: str) -> Iterator[FieldFault]:
    """Yield a fault if a branch that has to hold a step holds none."""
    if not steps:
        yield fault(path, message, "no_steps")


def _group(branch: Branch, held: Any, key: str | None) -> Group:
    return Group(branch, tuple(held), True, key) if isinstance(held, list) else Group(branch, (held,), False, key)
