"""Rates: exact to the nanosecond, all or nothing over several configs, bounded in memory."""

import random
from uuid import uuid4

import pytest

from services.mcp_gateway.app.policy import Policies
from services.mcp_gateway.domain.config import Config, ConfigDefinition
from services.mcp_gateway.domain.policy import Policy
from services.mcp_gateway.domain.rate import Bucket
from shared.errors import RateLimited
from shared.scope import TenantScope
from tests.unit.gateway.call_path import NOW, SCOPE, TENANT

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def limited(*limits: int) -> Policy:
    return Policy(
        Config(TENANT, uuid4(), ConfigDefinition(uuid4(), rate_limit_per_minute=limit), 1, 1, NOW, NOW)
        for limit in limits
    )


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


def passed(policies: Policies, policy: Policy, scope: TenantScope = SCOPE) -> bool:
    try:
        policies.admit(scope, policy)
    except RateLimited:
        return False
    return True


@pytest.mark.parametrize(("limit", "burst"), [(1, 1), (7, 7), (60, 60), (100, 100), (6_000, 100)])
def test_a_burst_and_then_one_exactly_when_its_time_has_come(limit: int, burst: int) -> None:
    clock = Clock()
    policies, policy = Policies(None, clock), limited(limit)  # type: ignore[arg-type]
    assert sum(passed(policies, policy) for _ in range(burst + 50)) == burst
    for number in range(1, 200):
        due = -(-number * MINUTE // limit)  # no call is early by a nanosecond, and none late, however often one asks
        clock.now = due - 1
        assert not passed(policies, policy)
        clock.now = due
        assert passed(policies, policy)
        assert not passed(policies, policy)


def test_asking_often_neither_gains_nor_loses() -> None:
    chance = random.Random(3)
    clock = Clock()
    policies, policy = Policies(None, clock), limited(70)  # type: ignore[arg-type]
    count = int(passed(policies, policy))
    while clock.now < 2 * MINUTE:
        clock.now += chance.randrange(1, SECOND // 50)
        count += passed(policies, policy)
    assert count == 70 + clock.now * 70 // MINUTE


def test_several_limits_are_taken_from_together_or_not_at_all() -> None:
    clock = Clock()
    policies, policy = Policies(None, clock), limited(10, 2)  # type: ignore[arg-type]
    assert [passed(policies, policy) for _ in range(5)] == [True, True, False, False, False]
    wide = Policy(policy.configs[:1])
    assert sum(passed(policies, wide) for _ in range(20)) == 8, "what the narrow one refused cost the wide one nothing"


def test_a_refusal_says_which_config_and_when() -> None:
    clock = Clock()
    policies, policy = Policies(None, clock), limited(600, 2)  # type: ignore[arg-type]
    passed(policies, policy)
    passed(policies, policy)
    with pytest.raises(RateLimited) as refusal:
        policies.admit(SCOPE, policy)
    assert refusal.value.retry_after == 30
    assert refusal.value.details == {
        "config_id": str(policy.configs[1].id),
        "limit": 2,
        "remaining": 0,
        "reset": 60,
    }


def test_tenants_and_configs_have_buckets_of_their_own() -> None:
    policies, policy = Policies(None, Clock()), limited(1)  # type: ignore[arg-type]
    other = TenantScope(uuid4(), "tester")
    assert passed(policies, policy)
    assert passed(policies, policy, other)
    assert passed(policies, limited(1))
    assert not passed(policies, policy)


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [(10, 5, 5), (10, 100, 8), (5, 10, 3)],
)
def test_another_limit_keeps_what_was_used(before: int, after: int, left: int) -> None:
    bucket = Bucket(before, 0)
    bucket.take()
    bucket.take()
    bucket.refill(after, 0)
    assert bucket.remaining == left
    bucket.refill(after, MINUTE)
    assert bucket.remaining == min(100, after)


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    bucket = Bucket(1, 1_000)
    bucket.take()
    for now in (1_000, 0, 500, 1_000):
        bucket.refill(1, now)
        assert bucket.wait == MINUTE


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.app.policy.RATE_BUCKETS_MAX", 3)
    policies = Policies(None, Clock())  # type: ignore[arg-type]
    kept = limited(1)
    passed(policies, kept)
    for _ in range(100):
        passed(policies, limited(1))
        assert not passed(policies, kept), "what is used stays"
    assert len(policies._buckets) == 3
