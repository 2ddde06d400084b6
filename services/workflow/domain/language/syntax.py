"""JSONPath text to its syntax tree, through the RFC 9535 parser of `python-jsonpath`, within our bounds.

Only the parser is used. `logic` and `queries` evaluate the tree themselves, because an evaluation here must have a
bound on its work and no backtracking in its regular expressions.
"""

import re

import jsonpath
from jsonpath.filter import FilterExpression
from jsonpath.function_extensions import Count, Length, Match, Search, Value
from jsonpath.path import JSONPath
from jsonpath.segments import JSONPathChildSegment
from jsonpath.selectors import Filter

from services.workflow.domain.language.errors import ConditionInvalid
from services.workflow.limits import MAX_EXPRESSION_CHARS, MAX_EXPRESSION_NESTING, MAX_EXPRESSION_OPERATORS

_BEFORE, _AFTER = "$[?", "]"
_OPENING, _CLOSING = frozenset("(["), frozenset(")]")
_TOKEN = re.compile(r"'?TOKEN_([A-Z_]+)'?")
_OPERATOR = re.compile(r"&&|\|\||!(?!=)")


class _Standard(jsonpath.JSONPathEnvironment):
    """RFC 9535 to the letter, with the functions that it defines and no others."""

    def setup_function_extensions(self) -> None:
        self.function_extensions = {
            "length": Length(),
            "count": Count(),
            "match": Match(),
            "search": Search(),
            "value": Value(),
        }


_ENVIRONMENT = _Standard(strict=True, filter_caching=False)


def parse_logical(text: str) -> FilterExpression:
    """Return the tree of a logical expression. Raises `ConditionInvalid` with the position in `text`."""
    path = _parse(text, _BEFORE, _AFTER)
    if len(path.segments) == 1:
        segment = path.segments[0]
        if isinstance(segment, JSONPathChildSegment) and len(segment.selectors) == 1:
            selector = segment.selectors[0]
            if isinstance(selector, Filter):
                return selector.expression
    raise ConditionInvalid("one logical expression is expected, such as $.step.score > 0.8", 0)


def parse_query(text: str) -> JSONPath:
    """Return the tree of a JSONPath query. Raises `ConditionInvalid` with the position in `text`."""
    if not text.startswith("$"):
        raise ConditionInvalid("a JSONPath begins with '$'", 0)
    return _parse(text, "", "")


def position_of(index: int) -> int:
    """Return the offset in a condition's text of what the parser saw at `index`."""
    return max(0, index - len(_BEFORE))


def _parse(text: str, before: str, after: str) -> JSONPath:
    if len(text) > MAX_EXPRESSION_CHARS:
        raise ConditionInvalid(f"an expression has at most {MAX_EXPRESSION_CHARS:,} characters", MAX_EXPRESSION_CHARS)
    _check_nesting(text)
    try:
        path = _ENVIRONMENT.compile(f"{before}{text}{after}")
    except jsonpath.JSONPathError as error:
        position = None if error.token is None else _position(error.token.index, len(before), len(text))
        # The parser names its tokens in its messages (TOKEN_NAME).
        message = _TOKEN.sub(lambda token: token.group(1).lower().replace("_", " "), str(error.message))
        raise ConditionInvalid(f"not a JSONPath expression: {message}", position) from None
    except (ValueError, OverflowError):  # numbers that the parser's own conversions refuse, such as 1e999 and [1e2]
        raise ConditionInvalid("not a JSONPath expression: a number in it is out of range", None) from None
    if not isinstance(path, JSONPath):
        raise ConditionInvalid("not one JSONPath expression", 0)
    return path


def _position(index: int, before: int, length: int) -> int:
    # The parser gives -1 for the end of the text.
    return length if index < 0 else min(max(0, index - before), length)


def _check_nesting(text: str) -> None:
    """Refuse what would drive a recursive walk deep: the parser's, ours over its tree, and the evaluation's.

    What stands in quoted text counts too, which errs on the safe side.
    """
    depth = 0
    for position, letter in enumerate(text):
        if letter in _OPENING:
            depth += 1
            if depth > MAX_EXPRESSION_NESTING:
                raise ConditionInvalid(f"an expression is nested at most {MAX_EXPRESSION_NESTING} deep", position)
        elif letter in _CLOSING:
            depth -= 1
    if len(_OPERATOR.findall(text)) > MAX_EXPRESSION_OPERATORS:
        raise ConditionInvalid(f"an expression has at most {MAX_EXPRESSION_OPERATORS} of '&&', '||' and '!'", None)
