"""Every metric of the MCP gateway."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.mcp_gateway.domain.events import ToolQuarantined, ToolReleased
from services.mcp_gateway.domain.pins import PinEvent

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The catalogue. Labels are bounded: codes are ours, and no tenant, server or tool is one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter("agentic_mcp_tool_calls", "Tool calls that ended.", ["outcome"], registry=registry)
        self.call_seconds = Histogram(
            "agentic_mcp_tool_call_seconds", "Time of a whole tool call.", buckets=_SECONDS, registry=registry
        )
        self.tools_quarantined = Counter(
            "agentic_mcp_tools_quarantined", "Definitions that wait for a person.", ["reason"], registry=registry
        )
        self.findings = Counter(
            "agentic_mcp_findings", "Texts that look aimed at a model.", ["kind", "rule"], registry=registry
        )
        self.records_pending = Gauge(
            "agentic_mcp_records_pending", "Calls that wait to be recorded.", registry=registry
        )
        self.sessions_alive = Gauge("agentic_mcp_sessions_alive", "Sessions with servers.", registry=registry)

    def observe_call(self, outcome: str, seconds: float) -> None:
        """Count a call that ended, by `ok` or its code."""
        self.calls.labels(outcome).inc()
        self.call_seconds.observe(seconds)

    def observe_pins(self, event: PinEvent) -> None:
        """Count what a listing or an approval came to."""
        if isinstance(event, ToolQuarantined):
            self.tools_quarantined.labels(event.reason).inc()
        if not isinstance(event, ToolReleased):
            for finding in event.findings:
                self.findings.labels("definition", finding.rule).inc()

    def observe_result(self, rule: str) -> None:
        """Count a finding in a result."""
        self.findings.labels("result", rule).inc()

    def watch(self, *, records_pending: Callable[[], float], sessions_alive: Callable[[], float]) -> None:
        """Read these when somebody looks."""
        self.records_pending.set_function(records_pending)
        self.sessions_alive.set_function(sessions_alive)
