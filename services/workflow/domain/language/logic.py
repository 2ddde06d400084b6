"""JSONPath logical expressions (RFC 9535, section 2.3.5) compiled to closures, and what they refer to."""

from collections.abc import Callable
from typing import Any

import msgspec
from jsonpath.filter import (
    BaseExpression,
    FilterExpression,
    FilterExpressionLiteral,
    FilterQuery,
    FunctionExtension,
    InfixExpression,
    Nil,
    PrefixExpression,
    RelativeFilterQuery,
    RootFilterQuery,
)
from jsonpath.path import JSONPath
from jsonpath.segments import JSONPathChildSegment
from jsonpath.selectors import NameSelector

from services.workflow.domain.language.comparison import COMPARISONS, NOTHING
from services.workflow.domain.language.errors import ConditionInvalid
from services.workflow.domain.language.patterns import compile_pattern
from services.workflow.domain.language.queries import Select, Test, Visits, compile_query, compile_singular

Value = Callable[[Any, Any, Visits], Any]


class RootReference(msgspec.Struct, frozen=True):
    """A member of the root that an expression names first (`$.name…`), and where, as the parser counts."""

    name: str
    index: int


class LogicCompiler:
    """Compiles trees of one expression; `references` has what their queries name at the root."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.references: list[RootReference] = []
        self._depth = 0

    def top(self, tree: FilterExpression) -> Test:
        """Compile a condition: outside any filter, where `@` has no meaning."""
        return self._test(tree.expression)

    def fixed(self, tree: BaseExpression) -> Test:
        """Compile a part of a condition that reads nothing."""
        return self._test(tree)

    def query(self, path: JSONPath) -> Select:
        """Compile a query, with the filters in it."""
        return compile_query(path.segments, self._filter)

    def _filter(self, tree: FilterExpression) -> Test:
        self._depth += 1
        test = self._test(tree.expression)
        self._depth -= 1
        return test

    def _test(self, tree: BaseExpression) -> Test:
        if isinstance(tree, InfixExpression):
            return self._junction(tree) if tree.logical else self._comparison(tree)
        if isinstance(tree, PrefixExpression) and tree.operator == "!":
            denied = self._test(tree.right)
            return lambda root, current, visits: not denied(root, current, visits)
        if isinstance(tree, FilterQuery):
            return self._existence(tree)
        if isinstance(tree, FunctionExtension) and tree.name in {"match", "search"}:
            return self._pattern(tree)
        raise ConditionInvalid("a comparison or a test is expected", None)

    def _junction(self, tree: InfixExpression) -> Test:
        left, right = self._test(tree.left), self._test(tree.right)
        if tree.operator == "&&":
            return lambda root, current, visits: left(root, current, visits) and right(root, current, visits)
        return lambda root, current, visits: left(root, current, visits) or right(root, current, visits)

    def _comparison(self, tree: InfixExpression) -> Test:
        compare = COMPARISONS.get(tree.operator)
        if compare is None:
            raise ConditionInvalid(f"there is no operator {tree.operator!r}", self._found(tree.operator))
        left, right = self._value(tree.left), self._value(tree.right)
        return lambda root, current, visits: compare(left(root, current, visits), right(root, current, visits))

    def _existence(self, tree: FilterQuery) -> Test:
        if tree.path.singular_query():
            value = self._value(tree)
            return lambda root, current, visits: value(root, current, visits) is not NOTHING
        nodes = self._nodes(tree)
        return lambda root, current, visits: bool(nodes(root, current, visits))

    def _pattern(self, tree: FunctionExtension) -> Test:
        whole = tree.name == "match"
        text, pattern = self._value(tree.args[0]), self._value(tree.args[1])
        literal = tree.args[1]
        if isinstance(literal, FilterExpressionLiteral) and isinstance(literal.value, str):
            fixed = compile_pattern(literal.value, whole=whole)
            if fixed is None:
                raise ConditionInvalid("not a regular expression that can be used here", self._quoted(literal.value))

            def test_fixed(root: Any, current: Any, visits: Visits) -> bool:
                value = text(root, current, visits)
                return isinstance(value, str) and fixed(value)

            return test_fixed

        def test(root: Any, current: Any, visits: Visits) -> bool:
            value, source = text(root, current, visits), pattern(root, current, visits)
            if not isinstance(value, str) or not isinstance(source, str):
                return False
            matches = compile_pattern(source, whole=whole)
            return matches is not None and matches(value)

        return test

    def _value(self, tree: BaseExpression) -> Value:
        """Compile what gives one value or NOTHING: a literal, a singular query, a function."""
        if isinstance(tree, Nil | FilterExpressionLiteral):
            constant = None if isinstance(tree, Nil) else tree.value
            return lambda _root, _current, _visits: constant
        if isinstance(tree, FilterQuery) and tree.path.singular_query():
            self._note(tree)
            walk = compile_singular(tree.path.segments)
            if isinstance(tree, RootFilterQuery):
                return lambda root, _current, _visits: walk(root)
            return lambda _root, current, _visits: walk(current)
        if isinstance(tree, FunctionExtension):
            return self._function(tree)
        raise ConditionInvalid("a value is expected: a literal, a path that selects at most one, or a function", None)

    def _function(self, tree: FunctionExtension) -> Value:
        if tree.name == "length":
            argument = self._value(tree.args[0])
            return lambda root, current, visits: _length(argument(root, current, visits))
        summary = _OF_NODES.get(tree.name)
        if summary is None:
            raise ConditionInvalid(f"the result of {tree.name}() is no value", self._found(tree.name))
        nodes = self._nodes(tree.args[0])
        return lambda root, current, visits: summary(nodes(root, current, visits))

    def _nodes(self, tree: BaseExpression) -> Select:
        if not isinstance(tree, FilterQuery):
            raise ConditionInvalid("a path is expected", None)
        self._note(tree)
        select = self.query(tree.path)
        if isinstance(tree, RootFilterQuery):
            return lambda root, _current, visits: select(root, root, visits)
        return select

    def _note(self, tree: FilterQuery) -> None:
        segments = tree.path.segments
        if isinstance(tree, RelativeFilterQuery):
            if not self._depth:
                raise ConditionInvalid("'@' has a meaning only inside a filter [?…]; start at '$'", self._found("@"))
        elif segments and isinstance(segments[0], JSONPathChildSegment) and len(segments[0].selectors) == 1:
            selector = segments[0].selectors[0]
            if isinstance(selector, NameSelector):
                self.references.append(RootReference(selector.name, selector.token.index))

    def _found(self, part: str) -> int | None:
        """Return where `part` first stands; the tree keeps no positions for operators and literals."""
        position = self.text.find(part)
        return None if position < 0 else position

    def _quoted(self, content: str) -> int | None:
        found = (self._found(f"{quote}{content}{quote}") for quote in "'\"")
        return next((position for position in found if position is not None), None)


def _length(value: Any) -> Any:
    return len(value) if isinstance(value, str | list | dict) else NOTHING


def _only(nodes: list[Any]) -> Any:
    return nodes[0] if len(nodes) == 1 else NOTHING


_OF_NODES: dict[str, Callable[[list[Any]], Any]] = {"count": len, "value": _only}
