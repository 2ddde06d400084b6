"""The text of a template taken apart: literal text and placeholders such as `{step.items[0].id | default('n/a')}`.

A brace opens a placeholder only when a name follows that is itself followed by `.`, `[`, `|` or `}`. All else that
looks like JSON or code stays text. `{{` and `}}` are literal braces; a `}}` that closes two plain `{` stays two.
"""

import re

import msgspec

from services.workflow.limits import MAX_PLACEHOLDER_CHARS, MAX_PLACEHOLDER_FILTERS

Literal = str | int | float | bool | None

_BRACE = re.compile(r"[{}]")
_OPENING = re.compile(r"\{[ \t]*(?=[A-Za-z_][A-Za-z0-9_]*[ \t]*[.\[|}])")
_SPACE = re.compile(r"[ \t]*")
_ROOT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MEMBER = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)")
_INDEX = re.compile(r"\[[ \t]*(-?[0-9]{1,9})[ \t]*\]")
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_QUOTED_MEMBER = re.compile(rf"\[[ \t]*({_QUOTED})[ \t]*\]")
_FILTER = re.compile(r"\|[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*(\()?")
_LITERAL = re.compile(rf"({_QUOTED})|(-?[0-9]{{1,15}}(?:\.[0-9]{{1,15}})?)|(true|false|null)\b")
_ESCAPE = re.compile(r"\\(.)")
_WORDS: dict[str, Literal] = {"true": True, "false": False, "null": None}


class PlaceholderInvalid(Exception):
    """A placeholder is malformed. Internal to the language: `templates` turns it into a fault with a path."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class FilterCall(msgspec.Struct, frozen=True):
    """A filter by name, with its literal arguments and where its name stands."""

    name: str
    arguments: tuple[Literal, ...]
    position: int


class Placeholder(msgspec.Struct, frozen=True):
    """A reference (`root`, then object keys and list indexes) and the filters that its value goes through."""

    root: str
    keys: tuple[str | int, ...]
    filters: tuple[FilterCall, ...]
    text: str
    position: int


def parse_text(text: str) -> list[str | Placeholder]:
    """Return the literal pieces (escapes undone, none empty) and placeholders of `text`, in order."""
    parts: list[str | Placeholder] = []
    literal: list[str] = []
    open_braces: list[bool] = []  # True for an escaped `{{`, False for a plain `{` that stays text
    at = 0
    while (brace := _BRACE.search(text, at)) is not None:
        start = brace.start()
        literal.append(text[at:start])
        doubled = text.startswith(text[start] * 2, start)
        if text[start] == "{" and not doubled and (opening := _OPENING.match(text, start)):
            placeholder, at = _parse_placeholder(text, start, opening.end())
            if piece := "".join(literal):
                parts.append(piece)
            literal.clear()
            parts.append(placeholder)
            continue
        if text[start] == "{":
            open_braces.append(doubled)
        elif doubled and open_braces and not open_braces[-1]:
            doubled = False
        if text[start] == "}" and open_braces:
            open_braces.pop()
        literal.append(text[start])
        at = start + (2 if doubled else 1)
    literal.append(text[at:])
    if piece := "".join(literal):
        parts.append(piece)
    return parts


def _parse_placeholder(text: str, start: int, at: int) -> tuple[Placeholder, int]:
    root = _ROOT.match(text, at)
    if root is None:
        raise PlaceholderInvalid("a name is expected after '{'", at)
    keys, end = _parse_keys(text, root.end())
    reference = text[at:end]
    filters: list[FilterCall] = []
    at = _skip_space(text, end)
    while text.startswith("|", at):
        if len(filters) == MAX_PLACEHOLDER_FILTERS:
            raise PlaceholderInvalid(f"a placeholder has at most {MAX_PLACEHOLDER_FILTERS} filters", at)
        call, at = _parse_filter(text, at)
        filters.append(call)
        at = _skip_space(text, at)
    if not text.startswith("}", at):
        raise PlaceholderInvalid(f"{_expected(text, at)} (write '{{{{' for a literal brace)", at)
    if at - start > MAX_PLACEHOLDER_CHARS:
        raise PlaceholderInvalid(f"a placeholder has at most {MAX_PLACEHOLDER_CHARS} characters", start)
    return Placeholder(root.group(), keys, tuple(filters), reference, start), at + 1


def _expected(text: str, at: int) -> str:
    if text.startswith(".", at):
        return "a name is expected after '.' in a placeholder"
    if text.startswith("[", at):
        return "an index or a quoted name in brackets is expected in a placeholder"
    found = repr(text[at]) if at < len(text) else "the end of the text"
    return f"expected '.', '[', '|' or '}}' in a placeholder, found {found}"


def _parse_keys(text: str, at: int) -> tuple[tuple[str | int, ...], int]:
    keys: list[str | int] = []
    while True:
        if member := _MEMBER.match(text, at):
            keys.append(member.group(1))
        elif member := _INDEX.match(text, at):
            keys.append(int(member.group(1)))
        elif member := _QUOTED_MEMBER.match(text, at):
            keys.append(_unquote(member.group(1)))
        else:
            return tuple(keys), at
        at = member.end()


def _parse_filter(text: str, at: int) -> tuple[FilterCall, int]:
    call = _FILTER.match(text, at)
    if call is None:
        raise PlaceholderInvalid("a filter's name is expected after '|'", at + 1)
    position, at = call.start(1), call.end()
    arguments: list[Literal] = []
    if call.group(2):
        at = _skip_space(text, at)
        while not text.startswith(")", at):
            literal = _LITERAL.match(text, at)
            if literal is None:
                raise PlaceholderInvalid("a filter's argument is a quoted text, a number, true, false or null", at)
            arguments.append(_literal_value(literal))
            at = _skip_space(text, literal.end())
            if text.startswith(",", at):
                at = _skip_space(text, at + 1)
            elif not text.startswith(")", at):
                raise PlaceholderInvalid("expected ',' or ')' after a filter's argument", at)
        at += 1
    return FilterCall(call.group(1), tuple(arguments), position), at


def _literal_value(match: re.Match[str]) -> Literal:
    quoted, number, word = match.groups()
    if quoted is not None:
        return _unquote(quoted)
    if number is not None:
        return float(number) if "." in number else int(number)
    return _WORDS[word]


def _unquote(quoted: str) -> str:
    return _ESCAPE.sub(r"\1", quoted[1:-1])


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
