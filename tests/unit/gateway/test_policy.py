"""What the configs of a server together allow: a table."""

import random
import time
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.mcp_gateway.app.configs import check_against, warnings_of
from services.mcp_gateway.app.policy import TenantConfigs, check_allowed
from services.mcp_gateway.domain.config import Config, ConfigDefinition, restarts
from services.mcp_gateway.domain.policy import OPEN_POLICY, OUTSIDE_PROFILE, Policy
from services.mcp_gateway.domain.server import Server, ServerConfig, ServerDefinition
from services.mcp_gateway.domain.tool_names import ToolNames
from services.mcp_gateway.errors import ToolDenied
from shared.errors import Unprocessable
from tests.unit.gateway.call_path import NOW, TENANT

SERVER, AGENT, OTHER = uuid4(), uuid4(), uuid4()
TOOLS = ("read", "read_all", "write", "löschen")


def config(**said: Any) -> Config:
    return Config(TENANT, uuid4(), ConfigDefinition(**{"server_id": SERVER, **said}), 1, 1, NOW, NOW)


def allowed(configs: list[Config], agent: UUID | None = None, profile: str | None = None) -> list[str]:
    policy = TenantConfigs(configs).policy(SERVER, agent, profile)
    return [tool for tool in TOOLS if policy.decide(tool).allowed]


TENANT_READS = config(allowed_tools=("read*",))
AGENT_WRITES = config(agent_id=AGENT, allowed_tools=("read", "write"))
AGENT_DENIES = config(agent_id=AGENT, denied_tools=("*_all", "lö*"))
IN_PROFILE = config(profile="support", denied_tools=("write",))
OFF = config(enabled=False)


@pytest.mark.parametrize(
    ("configs", "agent", "profile", "expected"),
    [
        ([], None, None, [*TOOLS]),
        ([], AGENT, None, [*TOOLS]),
        ([TENANT_READS], None, None, ["read", "read_all"]),
        ([TENANT_READS], AGENT, None, ["read", "read_all"]),
        ([AGENT_WRITES], None, None, [*TOOLS]),
        ([AGENT_WRITES], OTHER, None, [*TOOLS]),
        ([AGENT_WRITES], AGENT, None, ["read", "write"]),
        ([TENANT_READS, AGENT_WRITES], AGENT, None, ["read"]),
        ([AGENT_WRITES, TENANT_READS], AGENT, None, ["read"]),
        ([AGENT_DENIES], AGENT, None, ["read", "write"]),
        ([TENANT_READS, AGENT_DENIES], AGENT, None, ["read"]),
        ([IN_PROFILE], None, "support", ["read", "read_all", "löschen"]),
        ([IN_PROFILE], None, None, [*TOOLS]),
        ([IN_PROFILE], None, "unknown", []),
        ([], None, "support", []),
        ([TENANT_READS], None, "support", []),
        ([IN_PROFILE, AGENT_WRITES], AGENT, "support", ["read"]),
        ([TENANT_READS, IN_PROFILE, AGENT_WRITES], AGENT, "support", ["read"]),
        ([OFF], None, None, []),
        ([OFF, AGENT_WRITES], AGENT, None, []),
        ([AGENT_WRITES, config(profile="support", enabled=False)], AGENT, "support", []),
        ([config(allowed_tools=())], None, None, []),
        ([config(allowed_tools=("read",), denied_tools=("read",))], None, None, []),
        ([config(allowed_tools=("*",), denied_tools=("*",))], None, None, []),
        ([config(server_id=uuid4(), enabled=False)], None, None, [*TOOLS]),
    ],
)
def test_all_that_apply_have_to_allow(
    configs: list[Config], agent: UUID | None, profile: str | None, expected: list[str]
) -> None:
    assert allowed(configs, agent, profile) == expected


def test_a_refusal_names_the_config_and_its_field() -> None:
    for refusing, why in (
        (OFF, "enabled"),
        (config(denied_tools=("w*",)), "denied_tools"),
        (TENANT_READS, "allowed_tools"),
    ):
        with pytest.raises(ToolDenied) as refusal:
            check_allowed(Policy([config(), refusing]), "write")
        assert refusal.value.details == {"tool": "write", "why": why, "config_id": str(refusing.id)}
        assert str(refusing.id) in refusal.value.message
    with pytest.raises(ToolDenied) as outside:
        check_allowed(OUTSIDE_PROFILE, "write", "support")
    assert "support" in outside.value.message


def test_the_narrowest_time_and_every_rate_hold_and_the_special_says_how_often() -> None:
    wide = config(timeout_seconds=30, max_retries=1, rate_limit_per_minute=600)
    narrow = config(agent_id=AGENT, timeout_seconds=5, rate_limit_per_minute=10)
    policy = TenantConfigs([narrow, wide]).policy(SERVER, AGENT, None)
    assert (policy.timeout_seconds, policy.max_retries) == (5, 1)
    assert [(limit.config_id, limit.per_minute) for limit in policy.limits] == [(wide.id, 600), (narrow.id, 10)]
    fewer = config(profile="p", max_retries=0)
    assert TenantConfigs([fewer, wide]).policy(SERVER, None, "p").max_retries == 0
    assert (OPEN_POLICY.timeout_seconds, OPEN_POLICY.max_retries, OPEN_POLICY.limits) == (None, 0, ())


def test_what_is_decided_is_kept_with_the_call() -> None:
    policy = Policy([TENANT_READS])
    assert OPEN_POLICY.record(OPEN_POLICY.decide("read")) == {}
    assert policy.record(policy.decide("read")) == {"configs": [str(TENANT_READS.id)], "decision": "allowed"}
    assert policy.record(policy.decide("write")) == {
        "configs": [str(TENANT_READS.id)],
        "decision": "denied",
        "why": "allowed_tools",
        "config_id": str(TENANT_READS.id),
    }
    assert OUTSIDE_PROFILE.record(OUTSIDE_PROFILE.decide("read")) == {
        "configs": [],
        "decision": "denied",
        "why": "profile",
    }


def test_agents_that_nobody_described_cost_no_memory() -> None:
    configs = TenantConfigs([TENANT_READS, AGENT_WRITES])
    policies = {id(configs.policy(SERVER, uuid4(), None)) for _ in range(1_000)}
    assert len(policies) == 1
    assert configs.policy(SERVER, AGENT, None) is configs.policy(SERVER, AGENT, None)


def test_names_that_callers_invent_cost_no_memory() -> None:
    policy = Policy([TENANT_READS])
    for number in range(5_000):
        assert policy.decide(f"read{number}").allowed
        assert not policy.decide(f"write{number}").allowed
    assert len(policy._decided) <= 1_000


def test_a_profile_has_the_servers_of_its_configs() -> None:
    other = uuid4()
    configs = TenantConfigs([IN_PROFILE, config(server_id=other, profile="support", enabled=False), TENANT_READS])
    assert configs.servers_of("support") == [SERVER, other]
    assert configs.servers_of("unknown") == []


def server(**said: Any) -> Server:
    base = {"name": "S", "slug": "s", "server_type": "stdio", "command": "x", "env_vars": {"A": "1", "B": "2"}}
    return Server(TENANT, SERVER, ServerDefinition(**{**base, **said}), "active", 1, 1, NOW, NOW)


def elsewhere(**said: Any) -> Server:
    base = {"server_type": "streamable_http", "command": None, "env_vars": {}, "url": "https://example.org/mcp"}
    return server(**{**base, **said})


def test_overrides_make_another_session_and_the_special_stands_above_the_general() -> None:
    general = config(env_overrides={"A": "general", "C": "general"})
    special = config(agent_id=AGENT, env_overrides={"A": "special"})
    plain = server()
    used = TenantConfigs([special, general]).policy(SERVER, AGENT, None).used(plain)
    assert used.definition.env_vars == {"A": "special", "B": "2", "C": "general"}
    assert used.identity == f"{general.id}.1,{special.id}.1"
    assert used.revision == plain.revision
    for policy in (OPEN_POLICY, Policy([TENANT_READS, config(timeout_seconds=1)])):
        assert policy.used(plain) is plain
    assert Policy([general]).used(plain).identity != Policy([special]).used(plain).identity


def test_an_overridden_time_needs_no_session_of_its_own() -> None:
    used = Policy([config(config_overrides=ServerConfig(timeout_seconds=9))]).used(server())
    assert (used.identity, used.definition.config.timeout_seconds) == ("", 9)


def test_a_header_is_overridden_whatever_its_case() -> None:
    theirs = elsewhere(config=ServerConfig(headers={"authorization": "Bearer theirs", "X-Team": "1"}))
    used = Policy([config(config_overrides=ServerConfig(headers={"Authorization": "Bearer ours"}))]).used(theirs)
    assert used.definition.config.headers == {"X-Team": "1", "Authorization": "Bearer ours"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"env_overrides": {"A": "2"}}, True),
        ({"config_overrides": ServerConfig(headers={"A": "2"})}, True),
        ({"config_overrides": ServerConfig(timeout_seconds=2)}, False),
        ({"allowed_tools": ("x",)}, False),
        ({"enabled": False}, False),
        ({"rate_limit_per_minute": 1}, False),
    ],
)
def test_what_makes_running_sessions_useless(change: dict[str, Any], *, expected: bool) -> None:
    assert restarts(ConfigDefinition(SERVER), ConfigDefinition(SERVER, **change)) is expected


class Rules:
    def __init__(self) -> None:
        self.asked: list[ServerDefinition] = []

    def check(self, definition: ServerDefinition) -> None:
        self.asked.append(definition)


@pytest.mark.parametrize(
    ("of", "said", "path"),
    [
        (server(), {"agent_id": AGENT, "profile": "p"}, "profile"),
        (server(), {"profile": "Not A Slug"}, "profile"),
        (server(), {"profile": ""}, "profile"),
        (server(), {"allowed_tools": ("",)}, "allowed_tools[0]"),
        (server(), {"denied_tools": ("a", "b\0")}, "denied_tools[1]"),
        (server(), {"denied_tools": ("x" * 257,)}, "denied_tools[0]"),
        (server(), {"denied_tools": ("*",) * 201}, "denied_tools"),
        (server(), {"timeout_seconds": 0}, "timeout_seconds"),
        (server(), {"timeout_seconds": float("nan")}, "timeout_seconds"),
        (server(), {"max_retries": 6}, "max_retries"),
        (server(), {"max_retries": -1}, "max_retries"),
        (server(), {"rate_limit_per_minute": 0}, "rate_limit_per_minute"),
        (server(), {"rate_limit_per_minute": 1_000_001}, "rate_limit_per_minute"),
        (server(), {"config_overrides": ServerConfig(headers={"A": "1"})}, "config_overrides.headers"),
        (server(), {"config_overrides": ServerConfig(timeout_seconds=-1)}, "config_overrides.timeout_seconds"),
        (server(), {"env_overrides": {"A": "x" * 5_000}}, "env_overrides.A"),
        (server(), {"env_overrides": {"A": "\0"}}, "env_overrides.A"),
        (server(), {"env_overrides": {f"V{number}": "x" * 1_000 for number in range(17)}}, ""),
        (elsewhere(), {"env_overrides": {"A": "1"}}, "env_overrides"),
        (server(category="bundled"), {"env_overrides": {"A": "1"}}, "env_overrides"),
    ],
)
def test_configs_that_cannot_be(of: Server, said: dict[str, Any], path: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        check_against(ConfigDefinition(SERVER, **said), of, Rules())
    assert refusal.value.faults[0].path == path


def test_a_config_is_checked_as_its_server_would_be_started() -> None:
    rules = Rules()
    check_against(ConfigDefinition(SERVER, max_retries=0, rate_limit_per_minute=1), server(), rules)
    assert rules.asked == []
    check_against(ConfigDefinition(SERVER, env_overrides={"A": "2"}), server(), rules)
    assert [definition.env_vars for definition in rules.asked] == [{"A": "2", "B": "2"}]


def test_names_that_the_server_does_not_list_are_told() -> None:
    said = ConfigDefinition(SERVER, allowed_tools=("read", "wrte", "del*"), denied_tools=("re*",))
    warned = warnings_of(said, ["read", "write"])
    assert [warning.partition(":")[0] for warning in warned] == ["allowed_tools", "allowed_tools"]
    assert "'wrte'" in warned[0]
    assert "'del*'" in warned[1]
    assert warnings_of(said, []) == []


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("read", "read", True),
        ("read", "Read", False),
        ("read", "readx", False),
        ("*", "", True),
        ("*", "x", True),
        ("**", "x", True),
        ("a*", "a", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*b*", "abc", True),
        ("*b*b*", "abc", False),
        ("a*b*c", "aXbYc", True),
        ("a*b*c", "acb", False),
        ("ab*bc", "abc", False),
        ("[a-z]?", "bx", False),
        ("[a-z]?", "[a-z]?", True),
        ("lö*", "löschen", True),
        ("*\u00e9", "e\u0301", False),
        ("a\n*", "a\nb", True),
    ],
)
def test_patterns(pattern: str, name: str, *, expected: bool) -> None:
    assert (ToolNames([pattern]).match(name) is not None) is expected


def test_patterns_agree_with_those_of_shells() -> None:
    chance = random.Random(5)
    for _ in range(5_000):
        pattern = "".join(chance.choices("ab*", k=chance.randrange(8)))
        name = "".join(chance.choices("ab", k=chance.randrange(8)))
        assert (ToolNames([pattern]).match(name) is not None) is fnmatchcase(name, pattern), (pattern, name)


@pytest.mark.parametrize("pattern", ["*" * 1_000, "*a" * 128, "a*" * 128 + "b", "*" * 255 + "b"])
def test_a_hostile_pattern_costs_little(pattern: str) -> None:
    names = ToolNames([pattern] * 200)
    began = time.process_time()
    names.match("a" * 256)
    assert time.process_time() - began < 0.25
