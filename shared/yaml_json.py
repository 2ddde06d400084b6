"""YAML as another way to write JSON: what it holds is what JSON can say, and nothing changes its meaning on the way.

Only `null`, `true`, `false` and numbers as JSON writes them are no text, so that `no`, `on`, `012`, `2026-01-01` and
`12:30` stay what they look like. Keys are text as written. Tags, merge keys and keys that stand twice are refused,
and aliases count as what they stand for.
"""

import re
from typing import Any, NoReturn

import msgspec
import yaml

from shared.errors import FieldFault, InvalidInput
from shared.limits import YAML_MAX_DEPTH, YAML_MAX_NODES

MEDIA_TYPE = "application/yaml"
MEDIA_TYPES = frozenset({MEDIA_TYPE, "application/x-yaml", "text/yaml", "text/x-yaml"})

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MERGE = "<<"
# The same grammar on libyaml, which every published wheel of PyYAML has, and in Python.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class YamlInvalid(InvalidInput):
    """A text is no YAML, or YAML that says more than JSON can. `faults` has where."""


def load_yaml(raw: bytes) -> Any:
    """Return the JSON value that one YAML document holds. Raises `YamlInvalid`."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal("the text is not UTF-8", "not_yaml", None) from error
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise _refusal(what or "this is no YAML", "not_yaml", error.problem_mark or error.context_mark) from error
    except yaml.YAMLError as error:
        raise _refusal(str(error).splitlines()[0], "not_yaml", None) from error
    return builder.value


def dump_yaml(value: Any) -> str:
    """Return a JSON value as YAML that `load_yaml` reads as the same: in blocks, keys in their order."""
    return str(
        yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1_000_000)
    )


class _Open:
    """A list or object that is being read: what it holds so far, its anchor, and how many nodes came before it."""

    __slots__ = ("anchor", "before", "key", "value")

    def __init__(self, value: Any, anchor: str | None, before: int) -> None:
        self.value = value
        self.anchor = anchor
        self.before = before
        self.key: str | None = None


class _Builder:
    """Builds the value from the parser's events, without recursion, within bounds that aliases cannot get around."""

    def __init__(self) -> None:
        self.value: Any = None
        self._documents = 0
        self._nodes = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}

    def take(self, event: yaml.Event) -> None:
        """Go on by one event."""
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    _refuse("one document is expected, and here a second one begins", "not_yaml", event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self._open.pop()
                self._place(done.value, done.anchor, done.before, event)

    def _begin(self, event: Any) -> None:
        if event.tag is not None:
            _refuse("tags have no meaning here", "yaml_tag", event)
        if self._expects_key():
            _refuse("a key is a text", "wrong_type", event)
        if len(self._open) >= YAML_MAX_DEPTH:
            _refuse(f"nested deeper than {YAML_MAX_DEPTH} levels", "nesting_too_deep", event)
        self._open.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor, self._nodes))

    def _alias(self, event: yaml.AliasEvent) -> None:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            _refuse(f"the alias *{event.anchor} stands for nothing that is complete before it", "not_yaml", event)
        value, nodes = known
        before = self._nodes
        self._nodes += nodes - 1
        if self._expects_key():
            _refuse("a key is a text, not an alias", "wrong_type", event)
        self._place(value, None, before, event)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.tag is not None:
            _refuse("tags have no meaning here", "yaml_tag", event)
        plain = event.implicit[0]
        if self._expects_key():
            self._begin_member(event, plain=plain)
            return
        value = _plain(event) if plain else event.value
        self._place(value, event.anchor, self._nodes, event)

    def _begin_member(self, event: yaml.ScalarEvent, *, plain: bool) -> None:
        if plain and event.value == _MERGE:
            _refuse("merge keys have no meaning here; quote the key if it is one", "yaml_tag", event)
        holder = self._open[-1]
        if event.value in holder.value:
            _refuse(f"the key {event.value!r} stands twice", "duplicate_key", event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (event.value, 1)
        holder.key = event.value

    def _expects_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _place(self, value: Any, anchor: str | None, before: int, event: yaml.Event) -> None:
        self._nodes += 1
        if self._nodes > YAML_MAX_NODES:
            _refuse(f"more than {YAML_MAX_NODES:,} values, those behind aliases included", "too_large", event)
        if anchor is not None:
            self._anchors[anchor] = (value, self._nodes - before)
        if not self._open:
            self.value = value
            return
        holder = self._open[-1]
        if holder.key is None:
            holder.value.append(value)
        else:
            holder.value[holder.key] = value
            holder.key = None


def _plain(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.match(text) is None:
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise _refusal("a number is out of range", "number_out_of_range", event.start_mark) from error


def _refuse(message: str, code: str, event: yaml.Event) -> NoReturn:
    raise _refusal(message, code, event.start_mark)


def _refusal(message: str, code: str, mark: Any) -> YamlInvalid:
    where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
    found = FieldFault("", f"{message}{where}", code, None if mark is None else mark.index)
    return YamlInvalid(f"The text cannot be taken as YAML: {message}{where}.", faults=[found])


class _Writer(_DUMPER):  # type: ignore[misc]
    """Quotes what YAML 1.1 or `load_yaml` would not take for text; texts of several lines stand as blocks."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _write_text(writer: Any, text: str) -> Any:
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Writer.add_representer(str, _write_text)
_Writer.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-0123456789"))
