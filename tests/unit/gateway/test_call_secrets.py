"""Calls whose arguments name secrets: what is sent, and what is recorded."""

import pytest

from services.mcp_gateway.errors import ToolTimeout
from tests.unit.gateway.call_path import ACTS, READS, TENANT, Gateway

PATHS = (("key",), ("deep", 0))
ARGUMENTS = {"key": "<{secret.A}>", "deep": ["{secret.A}", "{secret.A}"]}


def gateway_with_secret() -> Gateway:
    made = Gateway()
    made.secrets["A"] = "value-of-a"
    return made


@pytest.mark.parametrize("tool", [ACTS, READS])
async def test_values_are_sent_and_references_recorded(tool: str) -> None:
    gateway = gateway_with_secret()
    outcome = await gateway.execute(tool, arguments=ARGUMENTS, secret_paths=PATHS)
    assert outcome.failure is None
    assert gateway.upstream.sent == [{"key": "<value-of-a>", "deep": ["value-of-a", "{secret.A}"]}]
    await gateway.records.settled(TENANT)
    events = (await gateway.log.read_streams([outcome.id]))[outcome.id]
    assert b"{secret.A}" in events[0].data
    assert not [event for event in events if b"value-of-a" in event.data]


@pytest.mark.parametrize("tool", [ACTS, READS])
async def test_nothing_is_called_without_its_secret(tool: str) -> None:
    gateway = gateway_with_secret()
    outcome = await gateway.execute(tool, arguments={"key": "{secret.B}"}, secret_paths=(("key",),))
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.retryable) == ("secret_not_found", False)
    assert gateway.upstream.sent == []
    assert await gateway.types(outcome.id) == ["requested.v1", "failed.v1"]


async def test_a_failure_is_told_without_the_value() -> None:
    gateway = gateway_with_secret()
    gateway.upstream.fails(ToolTimeout("no answer to value-of-a", details={"sent": ["value-of-a"]}))
    outcome = await gateway.execute(ACTS, arguments=ARGUMENTS, secret_paths=PATHS)
    assert outcome.failure is not None
    assert outcome.failure.message.startswith("no answer to {secret.A}")
    assert outcome.failure.details == {"sent": ["{secret.A}"]}


async def test_texts_outside_the_named_places_are_sent_as_they_are() -> None:
    gateway = gateway_with_secret()
    assert (await gateway.execute(READS, arguments=ARGUMENTS)).failure is None
    assert gateway.upstream.sent == [ARGUMENTS]
