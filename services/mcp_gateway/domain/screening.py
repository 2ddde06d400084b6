"""Looks at what a server says for text that speaks to the model instead of describing or answering.

What it finds is a suspicion and no proof: it is shown to people and counted, and stops something only where the
server's owner asked for that. The work is linear in what is looked at, which is bounded.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import msgspec

from services.mcp_gateway.domain.screening_characters import (
    BIDI_OVERRIDES,
    BLOB_TOKEN,
    CONCEALING_ESCAPE,
    ESCAPE,
    INVISIBLE,
    SMUGGLED,
    SPLIT_WORD,
    UNSEEN,
    looks_encoded,
)
from services.mcp_gateway.domain.screening_rules import DEFINITION, RESULT, anchors_in
from services.mcp_gateway.limits import (
    FINDING_EXCERPT_MAX_CHARS,
    FINDINGS_MAX,
    FINDINGS_PER_RULE_MAX,
    SCREENED_LOOKS_MAX,
    SCREENED_MAX_CHARS,
)

_BREAK = "\n"  # no pattern reads beyond one, and in the texts themselves they are spaces
_ENCODED_KEYS = frozenset({"data", "blob"})  # of images, audio and binary resources


class Finding(msgspec.Struct, frozen=True):
    """A suspicion: the rule, the place in what was looked at, and the text there, without control characters."""

    rule: str
    where: str
    excerpt: str


def screen_definition(definition: dict[str, Any]) -> tuple[Finding, ...]:
    """Return what is suspicious in a tool's definition: its texts, and all texts and names in its schemas."""
    return _screen(_Reading(_texts(definition, "", names=True)), DEFINITION)


def screen_result(content: list[dict[str, Any]], structured: dict[str, Any] | None) -> tuple[Finding, ...]:
    """Return what is suspicious in a tool's result. Of a long one the beginning and the end are looked at."""
    parts: dict[str, Any] = {"content": content}
    if structured is not None:
        parts["structured"] = structured
    return _screen(_Reading(_texts(parts, "", names=False)), RESULT)


def _texts(value: Any, where: str, *, names: bool) -> Iterator[tuple[str, str]]:
    """Yield every string in a JSON value with its place; with `names` also those of members, as words."""
    waiting = [(where, value)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, str):
            yield where, value
            continue
        if isinstance(value, list):
            inner = [
                (f"{where}[{at}]", below) for at, below in enumerate(value) if isinstance(below, str | dict | list)
            ]
        else:
            inner = []
            for key, below in value.items():
                place = f"{where}.{key}" if where else key
                if names:
                    yield place, key.replace("_", " ")
                elif key in _ENCODED_KEYS and isinstance(below, str):
                    continue
                if isinstance(below, str | dict | list):
                    inner.append((place, below))
        waiting += inner[::-1]


class _Reading:
    """Texts put together into one, as they are and as they read, and the places that they come from."""

    def __init__(self, texts: Iterator[tuple[str, str]]) -> None:
        raw = _Joined()
        words = _Joined()
        same = True
        self.whole = True
        for where, text in texts:
            room = SCREENED_MAX_CHARS - raw.length
            if room <= 0:
                self.whole = False
                break
            part = text.replace("\n", " ")
            if len(part) > room:
                self.whole = False
                part = f"{part[: room // 2]}{_BREAK}{part[-(room // 2) :]}"
            raw.add(where, part)
            if part.isascii():
                words.add(where, part)
            else:
                same = False
                words.add(where, _normal(part))
        raw.end()
        if same:
            words = raw
        else:
            words.end()
        self.raw = raw
        self.words = words


class _Joined:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._starts: list[int] = []
        self._places: list[str] = []
        self.length = 0
        self.text = ""

    def add(self, where: str, part: str) -> None:
        self._starts.append(self.length)
        self._places.append(where)
        self._parts += (part, _BREAK)
        self.length += len(part) + len(_BREAK)

    def end(self) -> None:
        self.text = "".join(self._parts)

    def place(self, position: int) -> str:
        return self._places[bisect_right(self._starts, position) - 1] if self._places else ""


def _normal(text: str) -> str:
    """Return the text as it reads: without what is not seen, and letters of other widths as plain ones.

    It keeps its length in lower case: the one letter that does not is replaced.
    """
    seen = INVISIBLE.sub("", text) if INVISIBLE.search(text) else text
    seen = seen.replace("\u0130", "I").replace("\u2019", "'")
    return unicodedata.normalize("NFKC", seen)


class _Findings:
    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.found: dict[tuple[str, str], Finding] = {}

    def add(self, rule: str, joined: _Joined, start: int, end: int) -> None:
        where = joined.place(start)[:FINDING_EXCERPT_MAX_CHARS]
        if not self.enough(rule) and (rule, where) not in self.found and len(self.found) < FINDINGS_MAX:
            self._counts[rule] = self._counts.get(rule, 0) + 1
            self.found[rule, where] = Finding(rule, where, _excerpt(joined.text, start, end))

    def enough(self, rule: str) -> bool:
        return self._counts.get(rule, 0) >= FINDINGS_PER_RULE_MAX


def _screen(reading: _Reading, kind: str) -> tuple[Finding, ...]:
    raw = reading.raw
    findings = _Findings()
    if reading.words is not raw and INVISIBLE.search(raw.text):
        patterns = (SMUGGLED, BIDI_OVERRIDES) if kind == RESULT else (SMUGGLED, UNSEEN, SPLIT_WORD)
        for pattern in patterns:
            _matches(pattern, "invisible_text", raw, findings)
    if "\x1b" in raw.text or "\x9b" in raw.text:
        _matches(ESCAPE if kind == DEFINITION else CONCEALING_ESCAPE, "terminal_escape", raw, findings)
    if kind == DEFINITION:
        for match in BLOB_TOKEN.finditer(raw.text):
            if looks_encoded(match[0]):
                findings.add("encoded_text", raw, *match.span())
        if not reading.whole:
            findings.add("too_long", raw, 0, 1)
    _phrases(reading.words, kind, findings)
    return tuple(findings.found.values())


def _matches(pattern: "re.Pattern[str]", rule: str, joined: _Joined, findings: _Findings) -> None:
    for match in pattern.finditer(joined.text):
        findings.add(rule, joined, *match.span())
        if findings.enough(rule):
            return


def _phrases(words: _Joined, kind: str, findings: _Findings) -> None:
    low = words.text.lower().replace("_", " ")
    looks = 0
    for rule, anchor in anchors_in(low, kind):
        near = _Near(low, rule.near)
        at = low.find(anchor)
        while at >= 0 and not findings.enough(rule.name):
            first, last = max(0, at - rule.back), at + rule.ahead
            place = near.next(first)
            if place > last:
                at = low.find(anchor, max(at + 1, place - rule.ahead)) if place < len(low) else -1
                continue
            looks += 1
            if looks > SCREENED_LOOKS_MAX:
                # Ordinary text has not so many; and what is not looked at must not pass for clean.
                findings.add("crowded", words, at, at + len(anchor))
                return
            look = rule.pattern.search if rule.back else rule.pattern.match
            match = look(low, first if rule.back else at, last)
            if match is not None:
                findings.add(rule.name, words, *match.span())
            at = low.find(anchor, at + len(anchor))


class _Near:
    """Where one of some words stands next. Each stretch of the text is searched once for each word."""

    def __init__(self, low: str, words: tuple[str, ...]) -> None:
        self._low = low
        self._next = dict.fromkeys(words, -1)

    def next(self, first: int) -> int:
        """Return the place of the next word from `first` on, or the end; without words, `first`."""
        for word, place in self._next.items():
            if place < first:
                found = self._low.find(word, first)
                self._next[word] = found if found >= 0 else len(self._low)
        return min(self._next.values(), default=first)


def _excerpt(text: str, start: int, end: int) -> str:
    margin = max(0, FINDING_EXCERPT_MAX_CHARS - (end - start)) // 4
    first = max(0, start - margin, text.rfind(_BREAK, 0, start) + 1)
    cut = text[first : first + FINDING_EXCERPT_MAX_CHARS].partition(_BREAK)[0]
    plain = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
    return " ".join(plain.split())[:FINDING_EXCERPT_MAX_CHARS]
