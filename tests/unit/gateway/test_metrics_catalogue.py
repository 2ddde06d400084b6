"""The gateway's metrics: all in the catalogue, under one prefix, with bounded labels."""

import datetime as dt
from uuid import uuid4

from prometheus_client import CollectorRegistry

from services.mcp_gateway.domain.events import ToolQuarantined, ToolReleased
from services.mcp_gateway.domain.screening import Finding
from services.mcp_gateway.metrics import Metrics

NOW = dt.datetime.now(dt.UTC)


def test_every_metric_of_the_service_is_in_its_catalogue() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.watch(records_pending=lambda: 3, sessions_alive=lambda: 2)
    metrics.observe_call("ok", 0.01)
    metrics.observe_pins(ToolQuarantined(uuid4(), "add", "0", {}, "changed", NOW, findings=[Finding("a", "b", "c")]))
    metrics.observe_pins(ToolReleased(uuid4(), "add", "0", NOW))
    metrics.observe_result("secrecy")
    found = {family.name: family for family in registry.collect()}
    assert set(found) == {
        "agentic_mcp_tool_calls",
        "agentic_mcp_tool_call_seconds",
        "agentic_mcp_records_pending",
        "agentic_mcp_sessions_alive",
        "agentic_mcp_tools_quarantined",
        "agentic_mcp_findings",
    }
    assert registry.get_sample_value("agentic_mcp_tools_quarantined_total", {"reason": "changed"}) == 1
    for kind, rule in (("definition", "a"), ("result", "secrecy")):
        assert registry.get_sample_value("agentic_mcp_findings_total", {"kind": kind, "rule": rule}) == 1
    assert registry.get_sample_value("agentic_mcp_tool_calls_total", {"outcome": "ok"}) == 1
    assert registry.get_sample_value("agentic_mcp_records_pending") == 3
    assert registry.get_sample_value("agentic_mcp_sessions_alive") == 2
