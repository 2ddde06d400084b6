"""References in texts, and values taken out of what is said."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import FieldFault, InvalidInput, TooLarge, Unprocessable
from shared.limits import SECRET_CACHE_SIZE, SECRET_REDACTED_HEAD_CHARS, SECRETS_FILLED_MAX_CHARS
from shared.secrets.errors import SecretNotFound
from shared.secrets.logs import SecretsInLogs
from shared.secrets.redaction import NOTHING_SECRET, Redaction, forms_of
from shared.secrets.references import filler, names_in, resolve_secrets, texts_at

VALUE = "a-value-of-more-than-sixteen-characters"


def test_names_are_found_once_and_sorted() -> None:
    assert names_in(["{secret.B} {secret.A_1}{secret.B}", "secret.C {secret.}", "{secret.1}", "{ secret.D}"]) == [
        "A_1",
        "B",
    ]


@pytest.mark.parametrize("name", ["a-b", "A" * 64])
def test_what_looks_like_a_reference_and_can_be_none_is_said(name: str) -> None:
    with pytest.raises(SecretNotFound) as error:
        names_in([f"{{secret.{name}}}"])
    assert error.value.details == {"name": name}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({}, ["a"]), ({"a": []}, ["a", 0]), ({"a": 1}, ["a"]), ({"a": {}}, ["a"]), ("text", ["a"]), ([], []),
        ({"a": "b"}, ["a", "b"]), ({"a": None}, ["a", "b"]), ({"a": ["x"]}, ["a", "0"]), ("text", [0]),
        (["x"], [-1]), ({"a": [["x"]]}, ["a", 0, 0, 0]), ({"1": "x"}, [1]),
    ],
)  # fmt: skip
def test_places_that_are_not_there(value: Any, path: list[str | int]) -> None:
    with pytest.raises(InvalidInput):
        list(texts_at(value, [path]))


def test_many_references_are_no_giant() -> None:
    fill = filler({"A": "x" * 1000})
    text = "{secret.A}" * (SECRETS_FILLED_MAX_CHARS // 1000)
    assert len(resolve_secrets(text, [()], fill)) == len(text) // 10 * 1000
    with pytest.raises(TooLarge):
        resolve_secrets([text], [[0]], fill)
    with pytest.raises(SecretNotFound):
        fill("B")


texts = st.text(min_size=4, max_size=60)


@given(texts, texts, texts)
def test_no_form_of_a_value_is_left(before: str, value: str, after: str) -> None:
    redaction = Redaction({"N": value})
    for form in forms_of(value):
        if form in "{secret.N}" or value.strip() in "{secret.N}":
            continue
        said = redaction.text(before + form + after)
        assert form not in said.replace("{secret.N}", "")


def test_a_value_that_was_cut_is_still_one() -> None:
    redaction = Redaction({"N": VALUE})
    for length in range(SECRET_REDACTED_HEAD_CHARS, len(VALUE) + 1):
        assert redaction.text(f"'{VALUE[:length]}…") == "'{secret.N}…"
    assert redaction.text(VALUE[: SECRET_REDACTED_HEAD_CHARS - 1]) == VALUE[: SECRET_REDACTED_HEAD_CHARS - 1]
    assert redaction.text(VALUE + VALUE) == "{secret.N}{secret.N}"


def test_a_value_within_another_and_a_short_one() -> None:
    redaction = Redaction({"SHORT": "abc", "PART": "part", "WHOLE": "a part of it"})
    assert redaction.text("abc, part, a part of it") == "abc, {secret.PART}, {secret.WHOLE}"


def test_errors_are_cleaned_as_they_leave() -> None:
    cause = ValueError(VALUE)
    details = {"said": [VALUE, {VALUE: 1}], "count": 3}
    with pytest.raises(Unprocessable) as raised, Redaction({"N": VALUE}):
        raise Unprocessable(f"no {VALUE}", details=details, faults=[FieldFault("a", VALUE)]) from cause
    error = raised.value
    assert (error.message, str(error), error.__cause__) == ("no {secret.N}", "no {secret.N}", None)
    assert error.details == {"said": ["{secret.N}", {"{secret.N}": 1}], "count": 3}
    assert error.faults == [FieldFault("a", "{secret.N}")]
    with pytest.raises(Unprocessable) as untouched, NOTHING_SECRET:
        raise Unprocessable(VALUE) from cause
    assert (untouched.value.message, untouched.value.__cause__) == (VALUE, cause)


def test_what_is_nested_too_deeply_is_dropped() -> None:
    deep: Any = VALUE
    for _ in range(100_000):
        deep = [deep]
    assert Redaction({"N": VALUE}).data(deep) is None


def test_of_many_values_the_latest_are_taken_out_of_a_log() -> None:
    logs = SecretsInLogs()
    for number in range(2 * SECRET_CACHE_SIZE + 1):
        logs.add("N", f"value-{number:06}")
    assert logs.clean("value-004000 value-003500") == "{secret.N} {secret.N}"
    assert logs.clean("value-000001") == "value-000001"
    logs.add("N", "value-003000")
    assert logs.clean(f"{'x' * 1000}value-003000{'y' * 1000}") == f"{'x' * 1000}{{secret.N}}{'y' * 1000}"


def test_lines_of_a_log_are_cleaned_with_what_went_wrong() -> None:
    logs = SecretsInLogs()
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Lines()
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    former, root.handlers = root.handlers, [handler]
    try:
        logs.install()
        root.warning("before %s", VALUE)
        logs.add("N", VALUE)
        root.warning("after %s", VALUE)
        try:
            int(json.dumps({"v": VALUE}))
        except ValueError:
            root.exception("failed")
    finally:
        root.handlers = former
    assert lines[:2] == [f"before {VALUE}", "after {secret.N}"]
    assert "ValueError" in lines[2]
    assert VALUE not in lines[2]
