"""The compiled form of a definition: the tree of nodes that the engine walks, with everything decided beforehand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from services.workflow import limits
from services.workflow.domain.language.concurrency import ConcurrencyRule, compile_concurrency
from services.workflow.domain.language.conditions import Condition, compile_condition
from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.input_schema import ValidateInput, compile_schema
from services.workflow.domain.language.mapping import OutputMapping, compile_mapping
from services.workflow.domain.language.retry import RetryPolicy, policy_of
from services.workflow.domain.language.steps import COMPENSATE, ON_ERROR, STEPS, Group, Step
from services.workflow.domain.language.templates import Template, compile_template


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A step, compiled, and where the engine goes from it. Compared and hashed by identity.

    `path` is made of names (`holder/step`), and where the step runs once an iteration it is not yet its path in an
    execution. `branch` is the name of the list that it is in. `next` is the following node of its sequence; siblings in
    a `parallel` have none. `repeats` is the nearest holder that runs it once an iteration, `seen` what its own
    iterations show: names and paths inside them. `timeout_seconds` is None for a step that no worker does and that sets
    none. `payload` gives what the worker or the engine needs: an object with the fields of the step's type.
    """

    step: Step
    name: str
    type: str
    path: str
    branch: str | None
    parent: "Node | None"
    repeats: "Node | None"
    input: Template
    payload: Template | None
    when: Condition | None
    condition: Condition | None
    mapping: OutputMapping | None
    retry: RetryPolicy
    timeout_seconds: float | None
    next: "Node | None" = field(default=None, init=False)
    children: "Mapping[str, tuple[Node, ...]]" = field(default_factory=lambda: MappingProxyType({}), init=False)
    seen: "list[tuple[str, str]]" = field(default_factory=list, init=False)

    @property
    def ends_iteration(self) -> bool:
        """Whether it is the last step of an iteration of the step that holds it."""
        return self.next is None and self.repeats is not None and self.parent is self.repeats and self.branch == STEPS

    @property
    def on_error(self) -> "tuple[Node, ...]":
        """The steps that run when it has failed for good."""
        return self.children.get(ON_ERROR, ())

    @property
    def compensation(self) -> "tuple[Node, ...]":
        """The steps that undo it."""
        return self.children.get(COMPENSATE, ())

    def __repr__(self) -> str:
        return f"Node({self.path!r}, {self.type})"


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A definition, ready to run. `nodes` has every step by name, holders before what they hold."""

    definition: Definition
    nodes: Mapping[str, Node]
    top: tuple[Node, ...]
    output: Template | None
    search: Mapping[str, Template]
    timeout_seconds: float
    concurrency: ConcurrencyRule | None
    _validate: ValidateInput | None

    @property
    def first(self) -> Node:
        """The node that an execution starts with."""
        return self.top[0]

    def validate_input(self, value: object) -> None:
        """Raise `InputInvalid`, with the path of each fault, unless `value` fits the definition's `input_schema`."""
        if self._validate is not None:
            self._validate(value)


def compile_program(definition: Definition) -> Program:
    """Compile a definition that `parse_definition` accepted."""
    nodes: dict[str, Node] = {}
    defaults = policy_of(
        definition.retry,
        definition.max_retries,
        RetryPolicy(
            max_attempts=limits.DEFAULT_MAX_RETRIES + 1,
            backoff=definition.retry_strategy or "exponential",
        ),
    )
    top = _sequence(definition.steps, None, None, defaults, nodes)
    return Program(
        definition=definition,
        nodes=MappingProxyType(nodes),
        top=top,
        output=None if definition.output is None else compile_template(definition.output),
        search={name: compile_template(value) for name, value in definition.search_attributes.items()},
        timeout_seconds=definition.timeout_seconds,
        concurrency=None if definition.concurrency is None else compile_concurrency(definition.concurrency),
        _validate=None if definition.input_schema is None else compile_schema(definition.input_schema),
    )


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield `nodes` and all that they hold, holders first."""
    for node in nodes:
        yield node
        for branch in node.children.values():
            yield from walk(branch)


def _sequence(
    steps: Sequence[Step], parent: Node | None, group: Group | None, defaults: RetryPolicy, nodes: dict[str, Node]
) -> tuple[Node, ...]:
    made = []
    for step in steps:
        node = _node(step, parent, group, defaults)
        nodes[node.name] = node
        made.append(node)
        if node.repeats is not None:
            node.repeats.seen.append((node.name, node.path.removeprefix(f"{node.repeats.path}/")))
        _link(
            node,
            children=MappingProxyType(
                {inner.name: _sequence(inner.steps, node, inner, defaults, nodes) for inner in step.groups()}
            ),
        )
    if group is None or not group.branch.concurrent:
        for node, following in pairwise(made):
            _link(node, next=following)
    return tuple(made)


def _node(step: Step, parent: Node | None, group: Group | None, defaults: RetryPolicy) -> Node:
    payload = step.payload()
    condition = (step.conditions() | step.conditions_inside()).get("condition")
    # Steps that no worker does end the same way each time: they are tried once unless they ask for more themselves.
    policy = defaults if step.is_task else RetryPolicy(max_attempts=1)
    repeated = group is not None and group.branch.repeated
    return Node(
        step=step,
        name=step.name,
        type=step.type,
        path=step.name if parent is None else f"{parent.path}/{step.name}",
        branch=None if group is None else group.name,
        parent=parent,
        repeats=parent if repeated or parent is None else parent.repeats,
        input=compile_template(step.input),
        payload=None if payload is None else compile_template(payload),
        when=None if step.when is None else compile_condition(step.when),
        condition=None if condition is None else compile_condition(condition),
        mapping=compile_mapping(step.output_mapping) if step.output_mapping else None,
        retry=policy_of(step.retry, step.max_retries, policy),
        timeout_seconds=step.timeout_seconds or (step.task_timeout_seconds if step.is_task else None),
    )


def _link(node: Node, **links: object) -> None:
    """Set what can be known only when the nodes around exist; nothing changes a node after `compile_program`."""
    for name, value in links.items():
        object.__setattr__(node, name, value)
