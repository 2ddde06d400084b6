"""JSONPath queries (RFC 9535, sections 2.2 to 2.5) compiled to closures that count the nodes they visit."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jsonpath.filter import FilterExpression
from jsonpath.segments import JSONPathRecursiveDescentSegment, JSONPathSegment
from jsonpath.selectors import (
    Filter,
    IndexSelector,
    JSONPathSelector,
    NameSelector,
    SliceSelector,
    WildcardSelector,
)

from services.workflow.domain.language.comparison import NOTHING
from services.workflow.domain.language.errors import ConditionInvalid, ExpressionTooCostly
from services.workflow.limits import MAX_VISITED_NODES


class Visits:
    """How many nodes one evaluation may still visit."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_VISITED_NODES

    def spend(self, nodes: int) -> None:
        """Count `nodes` visits; raises `ExpressionTooCostly` when there were too many."""
        self.left -= nodes
        if self.left < 0:
            raise ExpressionTooCostly(
                f"A JSONPath expression visited more than {MAX_VISITED_NODES:,} nodes: name what it looks for."
            )


# All take the root, the node that the query starts from, and the visits left.
Test = Callable[[Any, Any, Visits], bool]
Select = Callable[[Any, Any, Visits], list[Any]]
Choose = Callable[[Any, Any, Visits], Sequence[Any]]
CompileFilter = Callable[[FilterExpression], Test]


def compile_singular(segments: Sequence[JSONPathSegment]) -> Callable[[Any], Any]:
    """Return the walk from a node along names and indexes: a value, or NOTHING."""
    keys = [_key(segment) for segment in segments]
    if any(isinstance(key, int) for key in keys):
        return lambda node: _walk(node, keys)
    names = tuple(keys)

    def members(node: Any) -> Any:
        try:
            for name in names:
                node = node[name]
        except (KeyError, TypeError):  # a text key into a list, text, number or null is a TypeError
            return NOTHING
        return node

    return members


def compile_query(segments: Sequence[JSONPathSegment], compile_filter: CompileFilter) -> Select:
    """Return the closure that selects a query's nodes, in the RFC's order."""
    steps = [
        (isinstance(segment, JSONPathRecursiveDescentSegment), [_choice(s, compile_filter) for s in segment.selectors])
        for segment in segments
    ]

    def select(root: Any, start: Any, visits: Visits) -> list[Any]:
        nodes = [start]
        for descend, choices in steps:
            found: list[Any] = []
            for node in nodes:
                for origin in _descendants(node, visits) if descend else (node,):
                    for choose in choices:
                        found.extend(choose(root, origin, visits))
            nodes = found
        return nodes

    return select


def _key(segment: JSONPathSegment) -> str | int:
    selector = segment.selectors[0]
    if isinstance(selector, NameSelector):
        return selector.name
    if isinstance(selector, IndexSelector):
        return selector.index
    raise ConditionInvalid("a singular query is made of names and indexes")


def _walk(node: Any, keys: Sequence[str | int]) -> Any:
    for key in keys:
        if isinstance(key, str):
            node = node.get(key, NOTHING) if isinstance(node, dict) else NOTHING
        elif isinstance(node, list) and -len(node) <= key < len(node):
            node = node[key]
        else:
            return NOTHING
    return node


def _descendants(node: Any, visits: Visits) -> Iterator[Any]:
    """Yield the node and all containers below it, parents first. Without recursion: depth is the data's choice."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        children = _children(node)
        visits.spend(len(children))
        stack.extend(child for child in reversed(children) if isinstance(child, dict | list))


def _children(node: Any) -> Sequence[Any]:
    if isinstance(node, list):
        return node
    return list(node.values()) if isinstance(node, dict) else ()


def _choice(selector: JSONPathSelector, compile_filter: CompileFilter) -> Choose:
    """Return the closure of one selector: which children of a node it chooses."""
    if isinstance(selector, NameSelector | IndexSelector):
        return _single(selector.name if isinstance(selector, NameSelector) else selector.index)
    if isinstance(selector, WildcardSelector):
        return _all
    if isinstance(selector, SliceSelector):
        return _slice(selector.slice)
    if isinstance(selector, Filter):
        return _filter(compile_filter(selector.expression))
    raise ConditionInvalid("a selector that RFC 9535 does not define", None)


def _single(key: str | int) -> Choose:
    keys = (key,)

    def choose(_root: Any, node: Any, visits: Visits) -> Sequence[Any]:
        visits.spend(1)
        child = _walk(node, keys)
        return () if child is NOTHING else (child,)

    return choose


def _all(_root: Any, node: Any, visits: Visits) -> Sequence[Any]:
    children = _children(node)
    visits.spend(len(children))
    return children


def _slice(cut: slice) -> Choose:
    def choose(_root: Any, node: Any, visits: Visits) -> Sequence[Any]:
        if not isinstance(node, list) or cut.step == 0:
            return ()
        children = node[cut]
        visits.spend(len(children))
        return children

    return choose


def _filter(test: Test) -> Choose:
    def choose(root: Any, node: Any, visits: Visits) -> Sequence[Any]:
        children = _children(node)
        visits.spend(len(children))
        return [child for child in children if test(root, child, visits)]

    return choose
