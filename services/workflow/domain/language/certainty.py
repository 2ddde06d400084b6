"""What a condition says before anything runs: whether it is constant, and which names exist when it holds."""

from jsonpath.filter import (
    BaseExpression,
    FilterExpressionLiteral,
    FilterQuery,
    FunctionExtension,
    InfixExpression,
    Nil,
    PrefixExpression,
    RootFilterQuery,
)
from jsonpath.segments import JSONPathChildSegment
from jsonpath.selectors import NameSelector

from services.workflow.domain.language.logic import LogicCompiler
from services.workflow.domain.language.queries import Visits
from services.workflow.domain.language.syntax import parse_logical

_NAMELESS: frozenset[str] = frozenset()


class Foregone:
    """What is known of one condition. `constant` is its value if no data can change it, else None.

    `exist_if_true` and `exist_if_false` are names of the context that are sure to exist when it has that value;
    `mentions` are all that it names.
    """

    __slots__ = ("constant", "exist_if_false", "exist_if_true", "mentions")

    def __init__(self, text: str) -> None:
        tree = parse_logical(text).expression
        self.constant = _constant(tree, text)
        self.exist_if_true = _exist(tree, truth=True)
        self.exist_if_false = _exist(tree, truth=False)
        self.mentions = _mentions(tree)


def _constant(tree: BaseExpression, text: str) -> bool | None:
    if isinstance(tree, PrefixExpression):
        right = _constant(tree.right, text)
        return None if right is None else not right
    if isinstance(tree, InfixExpression) and tree.logical:
        sides = {_constant(tree.left, text), _constant(tree.right, text)}
        decides = tree.operator == "||"
        if decides in sides:
            return decides
        return None if None in sides else not decides
    if isinstance(tree, InfixExpression | FunctionExtension) and not _reads(tree):
        return LogicCompiler(text).fixed(tree)(None, None, Visits())
    return None


def _reads(tree: BaseExpression) -> bool:
    return isinstance(tree, FilterQuery) or any(_reads(child) for child in tree.children())


def _mentions(tree: BaseExpression) -> frozenset[str]:
    return _root_of(tree).union(*(_mentions(child) for child in tree.children()))


def _exist(tree: BaseExpression, *, truth: bool) -> frozenset[str]:
    """Return the names that must exist for `tree` to be `truth`: a path to nothing fails every such test."""
    if isinstance(tree, PrefixExpression):
        return _exist(tree.right, truth=not truth)
    if isinstance(tree, InfixExpression) and tree.logical:
        left, right = _exist(tree.left, truth=truth), _exist(tree.right, truth=truth)
        both_hold = (tree.operator == "&&") is truth
        return left | right if both_hold else left & right
    if isinstance(tree, InfixExpression):
        return _compared(tree, truth=truth)
    return _tested(tree) if truth else _NAMELESS


def _tested(tree: BaseExpression) -> frozenset[str]:
    if isinstance(tree, FunctionExtension):
        return _NAMELESS.union(*(_valued(argument) for argument in tree.args))
    return _root_of(tree)


def _compared(tree: InfixExpression, *, truth: bool) -> frozenset[str]:
    if tree.operator in {"<", ">"} and truth:
        return _valued(tree.left) | _valued(tree.right)
    # Equality, also within <= and >=, holds between two paths to nothing: only a literal beside a path is proof.
    if (tree.operator in {"==", "<=", ">="} and truth) or (tree.operator == "!=" and not truth):
        sides = (tree.left, tree.right)
        if any(isinstance(side, FilterExpressionLiteral | Nil) for side in sides):
            return _valued(tree.left) | _valued(tree.right)
    return _NAMELESS


def _valued(tree: BaseExpression) -> frozenset[str]:
    """Return the names behind a value that is something: of a path, or of what `length` and `value` are given."""
    if isinstance(tree, FunctionExtension) and tree.name in {"length", "value"}:
        return _NAMELESS.union(*(_valued(argument) for argument in tree.args))
    return _root_of(tree)


def _root_of(tree: BaseExpression) -> frozenset[str]:
    if isinstance(tree, RootFilterQuery) and tree.path.segments:
        segment = tree.path.segments[0]
        if isinstance(segment, JSONPathChildSegment) and len(segment.selectors) == 1:
            selector = segment.selectors[0]
            if isinstance(selector, NameSelector):
                return frozenset({selector.name})
    return _NAMELESS
