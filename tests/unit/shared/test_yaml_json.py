"""YAML that means what it looks like: JSON's types and no others, within bounds, and back again unchanged."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.limits import YAML_MAX_DEPTH, YAML_MAX_NODES
from shared.unique_keys import check_unique_keys
from shared.yaml_json import YamlInvalid, dump_yaml, load_yaml

SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LOOKALIKES = st.sampled_from(
    ["no", "yes", "on", "y", "~", "null", "Null", "true", "012", "1e3", "1E+3", "-0", "0x1f", "1_000", "12:30", "=",
     "2026-01-01", "2026-01-01T00:00:00Z", ".5", "+1", ".inf", "<<", "*a", "&a", "!a", "- a", "a: b", "# c", "|", ">",
     "", " ", "a\n", "\na", " a\nb", "a\n\n b\n", "\t", "a\r\nb", "\x85", "\ufeff", "---", "...", "%a", "@a", "`a",
     "{a", "[a"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALARS | TEXT | LOOKALIKES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | LOOKALIKES, inner, max_size=4),
    max_leaves=20,
)


@SLOWLY
@given(JSON)
def test_what_is_written_is_read_as_the_same(value: Any) -> None:
    read = load_yaml(dump_yaml(value).encode())
    assert json.dumps(read) == json.dumps(value)  # also the order of keys, 1 and 1.0, and -0.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no: no", {"no": "no"}),
        ("on: yes\ny: n\noff: Off", {"on": "yes", "y": "n", "off": "Off"}),
        ("a: 012", {"a": "012"}),
        ("[0o12, 0x1f, 1_000, 12:30, +1, .5, 1.]", ["0o12", "0x1f", "1_000", "12:30", "+1", ".5", "1."]),
        ("a: 1e3\nb: -1.5E-3\nc: 0\nd: -0", {"a": 1000.0, "b": -0.0015, "c": 0, "d": 0}),
        ("a: 2026-01-01\nb: 2026-01-01 10:00:00", {"a": "2026-01-01", "b": "2026-01-01 10:00:00"}),
        ("a: .nan\nb: .inf", {"a": ".nan", "b": ".inf"}),
        ("a: ~\nb:\nc: null\nd: 'null'", {"a": None, "b": None, "c": None, "d": "null"}),
        ("a: true\nb: False\nc: 'true'", {"a": True, "b": False, "c": "true"}),
        ("1: a\ntrue: b\n~: c\n1.0: d", {"1": "a", "true": "b", "~": "c", "1.0": "d"}),
        ("a: '12'\nb: \"12\"", {"a": "12", "b": "12"}),
        ("a: &x {n: 1}\nb: *x\nc: [*x]", {"a": {"n": 1}, "b": {"n": 1}, "c": [{"n": 1}]}),
        ("'<<': 1", {"<<": 1}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\n", {"a": "x\ny\n", "b": "x y\n"}),
        ("\ufeffa: 1", {"a": 1}),
        ("", None),
    ],
)  # fmt: skip
def test_what_it_looks_like_is_what_it_is(text: str, value: Any) -> None:
    assert json.dumps(load_yaml(text.encode())) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: 1\na: 2", "duplicate_key"),
        ("a: {b: 1, 'b': 2}", "duplicate_key"),
        ("a: !!str 1", "yaml_tag"),
        ("!!python/object/apply:os.system ['true']", "yaml_tag"),
        ("!x [a]", "yaml_tag"),
        ("- ! a", "yaml_tag"),
        ("? !x a\n: b", "yaml_tag"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "yaml_tag"),
        ("a: *b", "not_yaml"),
        ("&a [*a]", "not_yaml"),
        ("? [a]\n: b", "wrong_type"),
        ("&x a: 1\n*x : 2", "wrong_type"),
        ("a: b: c", "not_yaml"),
        ("[a", "not_yaml"),
        ("a\n---\nb", "not_yaml"),
        ("a: \x01", "not_yaml"),
        ("a: 1e999", "number_out_of_range"),
        (f"a: {'9' * 5000}", "number_out_of_range"),
        ("[" * (YAML_MAX_DEPTH + 1), "nesting_too_deep"),
        ("- " * 500_000, "nesting_too_deep"),
        ("[" + "1," * (YAML_MAX_NODES + 1) + "]", "too_large"),
        ("l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"
         + "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 60)), "too_large"),
    ],
)  # fmt: skip
def test_what_says_more_than_json_can_or_too_much_is_refused(text: str, code: str) -> None:
    with pytest.raises(YamlInvalid) as caught:
        load_yaml(text.encode())
    assert [found.code for found in caught.value.faults] == [code]
    assert caught.value.code == "invalid_input"


def test_a_refusal_says_where() -> None:
    with pytest.raises(YamlInvalid, match=r"line 2, column 1") as caught:
        load_yaml(b"a: 1\na: 2")
    assert caught.value.faults[0].position == 5


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(YamlInvalid, match="UTF-8"):
        load_yaml(b"a: \xff")


def is_json_or_refused_with_its_fault(raw: bytes) -> bool:
    try:
        value = load_yaml(raw)
    except YamlInvalid as error:
        return len(error.faults) == 1
    return json.loads(json.dumps(value)) == value


@SLOWLY
@given(st.binary(max_size=60))
def test_any_bytes_give_json_or_a_refusal(raw: bytes) -> None:
    assert is_json_or_refused_with_its_fault(raw)


@SLOWLY
@given(st.text("ab:-?[]{}&*!|>'\"\n ,#%@~1e.", max_size=40))
def test_any_text_gives_json_or_a_refusal(text: str) -> None:
    assert is_json_or_refused_with_its_fault(text.encode())


@pytest.mark.parametrize("raw", [b'{"a": 1, "a": 2}', b'[{"x": {"b": 1, "b": 1}}]'])
def test_a_json_key_that_stands_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_unique_keys(raw)
    assert [found.code for found in caught.value.faults] == ["duplicate_key"]


def test_the_same_key_in_two_objects_is_no_fault() -> None:
    check_unique_keys(b'{"a": {"a": 1}, "b": {"a": 1}}')
