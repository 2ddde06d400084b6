"""Conditions: RFC 9535 logical expressions over the execution's context (`$.classify.confidence > 0.8`)."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.workflow.domain.language.logic import LogicCompiler
from services.workflow.domain.language.queries import Visits
from services.workflow.domain.language.syntax import parse_logical, position_of
from services.workflow.domain.language.templates import Reference


class Condition(msgspec.Struct, frozen=True):
    """A compiled condition. `evaluate(context)` may raise `ExpressionTooCostly`, nothing else.

    A path to nothing makes an ordering comparison false and equals only another path to nothing; alone it is false.
    """

    text: str
    evaluate: Callable[[Mapping[str, Any]], bool]
    references: tuple[Reference, ...]


def compile_condition(text: str) -> Condition:
    """Compile a logical expression. Raises `ConditionInvalid` with the position of what is wrong."""
    compiler = LogicCompiler(text)
    test = compiler.top(parse_logical(text))

    def evaluate(context: Mapping[str, Any]) -> bool:
        root = context if isinstance(context, dict) else dict(context)
        return test(root, root, Visits())

    references = tuple(
        Reference(found.name, f"$.{found.name}", "", position_of(found.index)) for found in compiler.references
    )
    return Condition(text, evaluate, references)
