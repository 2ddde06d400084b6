"""What the configs of a server together allow: all that apply have to, so the narrowest wins."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.config import Config, overridden, overrides
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.domain.tool_names import ToolNames
from services.mcp_gateway.limits import DECISIONS_KEPT


class Decision(msgspec.Struct, frozen=True):
    """Whether a tool may be called, and which config says so by which of its fields (`why`)."""

    allowed: bool
    why: str = ""
    config_id: UUID | None = None


class RateLimit(msgspec.Struct, frozen=True):
    """A config's limit. Each has a bucket of its own."""

    config_id: UUID
    per_minute: int


_ALLOWED = Decision(allowed=True)


class _Rules:
    """What one config says of tools."""

    def __init__(self, config: Config) -> None:
        definition = config.definition
        self.config_id = config.id
        self.enabled = definition.enabled
        self.denied = ToolNames(definition.denied_tools)
        self.allowed = None if definition.allowed_tools is None else ToolNames(definition.allowed_tools)

    def refusal(self, tool: str) -> Decision | None:
        if not self.enabled:
            return Decision(allowed=False, why="enabled", config_id=self.config_id)
        if self.denied.match(tool) is not None:
            return Decision(allowed=False, why="denied_tools", config_id=self.config_id)
        if self.allowed is not None and self.allowed.match(tool) is None:
            return Decision(allowed=False, why="allowed_tools", config_id=self.config_id)
        return None


class Policy:
    """What holds for calls of one server. `configs` go from the general to the special."""

    def __init__(self, configs: Iterable[Config] = (), *, closed: str | None = None) -> None:
        self.configs = tuple(configs)
        self._closed = None if closed is None else Decision(allowed=False, why=closed)
        self._decided: dict[str, Decision] = {}
        self._ids = [str(config.id) for config in self.configs]
        self._rules = [_Rules(config) for config in self.configs]
        said = [config.definition for config in self.configs]
        seconds = [one.timeout_seconds for one in said if one.timeout_seconds is not None]
        self.timeout_seconds = min(seconds, default=None)
        retries = [one.max_retries for one in said if one.max_retries is not None]
        self.max_retries = retries[-1] if retries else 0
        self.limits = tuple(
            RateLimit(config.id, config.definition.rate_limit_per_minute)
            for config in self.configs
            if config.definition.rate_limit_per_minute is not None
        )
        self._identity = ",".join(
            f"{config.id}.{config.revision}" for config in self.configs if overrides(config.definition)
        )

    @property
    def enabled(self) -> bool:
        """Whether the server may be used at all."""
        return self._closed is None and all(rules.enabled for rules in self._rules)

    def decide(self, tool: str) -> Decision:
        """Say whether a tool of this name may be called."""
        decided = self._decided.get(tool)
        if decided is None:
            if len(self._decided) >= DECISIONS_KEPT:
                self._decided.clear()
            decided = self._decided[tool] = self._decide(tool)
        return decided

    def _decide(self, tool: str) -> Decision:
        if self._closed is not None:
            return self._closed
        for rules in self._rules:
            refusal = rules.refusal(tool)
            if refusal is not None:
                return refusal
        return _ALLOWED

    def used(self, server: Server) -> Server:
        """Return the server as its calls use it: with what the configs override, the special above the general."""
        definition = server.definition
        for config in self.configs:
            definition = overridden(definition, config.definition)
        if definition is server.definition:
            return server
        return msgspec.structs.replace(server, definition=definition, identity=self._identity)

    def record(self, decision: Decision) -> dict[str, Any]:
        """Return the decision as a call's event holds it: nothing where no config applied."""
        if decision.allowed and not self.configs:
            return {}
        return {
            "configs": self._ids,
            "decision": "allowed" if decision.allowed else "denied",
            **({"why": decision.why} if decision.why else {}),
            **({"config_id": str(decision.config_id)} if decision.config_id is not None else {}),
        }


OPEN_POLICY = Policy()
"""Where there is no config, everything is allowed."""

OUTSIDE_PROFILE = Policy(closed="profile")
"""A profile offers the servers that it has a config for, and no others."""
