"""Retry policies: intervals, jitter that a seed decides, and which errors are tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.workflow.domain.language.retry import RetryPolicy


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("exponential", [100, 200, 400, 800, 1000, 1000]),
        ("linear", [100, 200, 300, 400, 500, 600]),
        ("none", [100, 100, 100, 100, 100, 100]),
    ],
)
def test_intervals(backoff: str, expected: list[int]) -> None:
    policy = RetryPolicy(initial_interval_ms=100, max_interval_ms=1000, backoff=backoff, jitter=0)  # type: ignore[arg-type]
    assert [policy.delay_ms(attempt) for attempt in range(1, 7)] == expected
    assert policy.delay_ms(10_000) <= 1000


@given(st.integers(1, 200), st.text(), st.floats(0, 1))
def test_jitter_stays_in_its_share_and_repeats(attempt: int, seed: str, jitter: float) -> None:
    policy = RetryPolicy(initial_interval_ms=1000, max_interval_ms=60_000, jitter=jitter)
    plain = RetryPolicy(initial_interval_ms=1000, max_interval_ms=60_000, jitter=0).delay_ms(attempt)
    delay = policy.delay_ms(attempt, seed)
    assert plain * (1 - jitter) - 1 <= delay <= plain * (1 + jitter) + 1
    assert delay == policy.delay_ms(attempt, seed)


def test_jitter_spreads() -> None:
    policy = RetryPolicy(initial_interval_ms=10_000, jitter=0.5)
    delays = {policy.delay_ms(1, f"execution-{number}") for number in range(100)}
    assert len(delays) > 90
    assert max(delays) - min(delays) > 8_000


@pytest.mark.parametrize(
    ("attempt", "code", "retryable", "expected"),
    [
        (1, "tool_timeout", True, True),
        (1, "tool_timeout", False, False),
        (3, "tool_timeout", True, False),
        (1, "never", True, False),
    ],
)
def test_allows(attempt: int, code: str, retryable: bool, expected: bool) -> None:
    policy = RetryPolicy(max_attempts=3, never_on=frozenset({"never"}))
    assert policy.allows(attempt, code, retryable=retryable) is expected


def test_retry_on_is_a_closed_list() -> None:
    policy = RetryPolicy(max_attempts=3, retry_on=frozenset({"http_status", "never"}), never_on=frozenset({"never"}))
    assert policy.allows(1, "http_status", retryable=False)
    assert not policy.allows(1, "tool_timeout", retryable=True)
    assert not policy.allows(1, "never", retryable=True)
