"""What follows from a tool's declaration and result, and what is remembered of answers."""

from typing import Any

import pytest

from services.mcp_gateway.domain.call import may_be_repeated, output_of, tool_said
from services.mcp_gateway.domain.server import ServerConfig, ServerDefinition, restarts, slug_of
from services.mcp_gateway.domain.server_rules import check_definition
from shared.bus.inbox import Inbox
from shared.bus.tasks import PARTITIONS, partition_of, result_subject, task_id_of
from shared.errors import Unprocessable
from shared.ids import derived_id, new_id


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (None, False),
        ({}, False),
        ({"readOnlyHint": True}, True),
        ({"idempotentHint": True}, True),
        ({"readOnlyHint": False, "idempotentHint": False}, False),
        ({"readOnlyHint": "yes"}, False),
        ({"idempotentHint": 1}, False),
        ({"destructiveHint": False}, False),
    ],
)
def test_only_a_plain_declaration_allows_a_repetition(annotations: dict[str, Any] | None, *, expected: bool) -> None:
    assert may_be_repeated(annotations) is expected


def test_the_structured_result_comes_first() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "image", "data": ""}, {"type": "text", "text": "b"}]
    assert output_of(content, {"x": 1}) == {"x": 1}
    assert output_of(content, {}) == {}
    assert output_of(content, None) == {"content": content, "text": "a\nb"}


@pytest.mark.parametrize(
    ("structured", "retryable"),
    [
        (None, False),
        ({"error": {"retryable": True}}, True),
        ({"error": {"retryable": "true"}}, False),
        ({"error": "text"}, False),
        ({"retryable": True}, False),
    ],
)
def test_an_error_is_retryable_only_if_the_tool_says_so(structured: dict[str, Any] | None, *, retryable: bool) -> None:
    failure = tool_said([{"type": "text", "text": "no"}], structured)
    assert (failure.code, failure.message, failure.retryable) == ("tool_error", "no", retryable)
    assert tool_said([], structured).message


def test_the_memory_is_bounded_in_number_and_bytes() -> None:
    memory = Inbox(items=3, size=10)
    for name in "abcd":
        memory.remember(name, name.encode())
    assert [memory.answer_to(name) for name in "abcd"] == [None, b"b", b"c", b"d"]
    memory.answer_to("b")
    memory.remember("e", b"e" * 8)
    assert [memory.answer_to(name) for name in "bcde"] == [b"b", None, b"d", b"e" * 8]
    memory.remember("f", b"f" * 11)
    assert memory.answer_to("f") is None
    memory.remember("e", b"")
    memory.remember("g", b"g" * 9)
    assert memory.answer_to("g") == b"g" * 9
    assert len(memory) <= 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "n"}, False),
        ({"description": "d"}, False),
        ({"slug": "t"}, False),
        ({"command": "y"}, True),
        ({"args": ("a",)}, True),
        ({"env_vars": {"A": "1"}}, True),
        ({"config": ServerConfig(headers={"A": "1"})}, True),
    ],
)
def test_what_makes_a_running_session_useless(change: dict[str, Any], *, expected: bool) -> None:
    base: dict[str, Any] = {"name": "x", "slug": "s", "server_type": "stdio", "command": "x"}
    assert restarts(ServerDefinition(**base), ServerDefinition(**{**base, **change})) is expected


@pytest.mark.parametrize(
    "change",
    [
        {"url": "ftp://example.org"},
        {"url": "http://"},
        {"url": "http://user:secret@example.org"},
        {"url": "http://[::1"},
        {"url": "http://example.org:99999"},
        {"command": "x"},
        {"env_vars": {"A": "1"}},
        {"config": ServerConfig(timeout_seconds=0)},
        {"name": " "},
        {"args": ("a",)},
        {"url": "https://{secret.HOST}/mcp"},
        {"url": "https://example.org/{secret.PATH}"},
        {"url": "https://example.org/mcp?a=1#{secret.A}"},
        {"url": "https://example.org/mcp?a={secret.A-B}"},
        {"config": ServerConfig(headers={"authorization": "Bearer {secret.}"})},
        {"config": ServerConfig(headers={"authorization": "Bearer {secret.A"})},
        {"config": ServerConfig(headers={"authorization": "{secret." + "A" * 64 + "}"})},
    ],
)
def test_definitions_that_cannot_be(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "name": "x",
        "slug": "s",
        "server_type": "streamable_http",
        "url": "https://example.org/mcp",
    }
    check_definition(ServerDefinition(**good))
    with pytest.raises(Unprocessable) as refusal:
        check_definition(ServerDefinition(**{**good, **change}))
    assert refusal.value.faults


def test_slugs_and_partitions() -> None:
    assert slug_of("  My Server, v2! ") == "my-server-v2"
    seen = [partition_of(new_id()) for _ in range(3_200)] + [partition_of(derived_id(n)) for n in range(3_200)]
    assert {*seen} == {*range(PARTITIONS)}
    assert max(seen.count(partition) for partition in range(PARTITIONS)) < 300
    assert result_subject(7) == "results.7"
    execution = new_id()
    assert task_id_of(execution, "a.b[1]", 2) == f"{execution}/a.b[1]/2"
