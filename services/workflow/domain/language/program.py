"""The compiled form of a definition: the tree of nodes that the engine walks, with everything decided beforehand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from services.workflow import limits
from services.workflow.domain.language.conditions import Condition, compile_condition
from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.input_schema import ValidateInput, compile_schema
from services.workflow.domain.language.mapping import OutputMapping, compile_mapping
from services.workflow.domain.language.retry import RetryPolicy, policy_of
from services.workflow.domain.language.steps import Branch, Step
from services.workflow.domain.language.templates import Template, compile_template

TOP_ROLE = "top"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A step, compiled, and where the engine goes from it. Compared and hashed by identity.

    `path` is made of names (`holder/step`). `next` is the following node of its sequence; siblings in a `parallel` have
    none. `timeout_seconds` is None for a step that no worker does and that sets none. `payload` gives what the worker
    or the engine needs: an object with the fields of the step's type.
    """

    step: Step
    name: str
    type: str
    path: str
    role: str
    index: int
    parent: "Node | None"
    input: Template
    payload: Template | None
    when: Condition | None
    condition: Condition | None
    mapping: OutputMapping | None
    retry: RetryPolicy
    timeout_seconds: float | None
    siblings: "tuple[Node, ...]" = field(default=(), init=False)
    next: "Node | None" = field(default=None, init=False)
    children: "Mapping[str, tuple[Node, ...]]" = field(default_factory=lambda: MappingProxyType({}), init=False)

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
        _validate=None if definition.input_schema is None else compile_schema(definition.input_schema),
    )


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield `nodes` and all that they hold, holders first."""
    for node in nodes:
        yield node
        for branch in node.children.values():
            yield from walk(branch)


def _sequence(
    steps: Sequence[Step], parent: Node | None, branch: Branch | None, defaults: RetryPolicy, nodes: dict[str, Node]
) -> tuple[Node, ...]:
    made = []
    for index, step in enumerate(steps):
        node = _node(step, index, parent, branch, defaults)
        nodes[node.name] = node
        made.append(node)
        children = {
            inner.field: _sequence(step.steps_in(inner), node, inner, defaults, nodes) for inner in step.branches
        }
        _link(node, children=MappingProxyType(children))
    siblings = tuple(made)
    concurrent = branch is not None and branch.concurrent
    for index, node in enumerate(siblings):
        following = siblings[index + 1] if not concurrent and index + 1 < len(siblings) else None
        _link(node, siblings=siblings, next=following)
    return siblings


def _node(step: Step, index: int, parent: Node | None, branch: Branch | None, defaults: RetryPolicy) -> Node:
    payload = step.payload()
    condition = step.conditions().get("condition")
    # Steps that no worker does end the same way each time: they are tried once unless they ask for more themselves.
    policy = defaults if step.is_task else RetryPolicy(max_attempts=1)
    return Node(
        step=step,
        name=step.name,
        type=step.type,
        path=step.name if parent is None else f"{parent.path}/{step.name}",
        role=TOP_ROLE if branch is None else branch.role,
        index=index,
        parent=parent,
        input=compile_template(step.input),
        payload=None if payload is None else compile_template(payload),
        when=None if step.when is None else compile_condition(step.when),
        condition=None if condition is None else compile_condition(condition),
        mapping=compile_mapping(step.output_mapping) if step.output_mapping else None,
        retry=policy_of(step.retry, step.max_retries, policy),
        timeout_seconds=step.timeout_seconds or (limits.DEFAULT_TASK_TIMEOUT_SECONDS if step.is_task else None),
    )


def _link(node: Node, **links: object) -> None:
    """Set what can be known only when the nodes around exist; nothing changes a node after `compile_program`."""
    for name, value in links.items():
        object.__setattr__(node, name, value)
