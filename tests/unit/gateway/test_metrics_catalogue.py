"""The gateway's metrics: all in the catalogue, under one prefix, with bounded labels."""

from prometheus_client import CollectorRegistry

from services.mcp_gateway.metrics import Metrics


def test_every_metric_of_the_service_is_in_its_catalogue() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.watch(records_pending=lambda: 3, sessions_alive=lambda: 2)
    metrics.observe_call("ok", 0.01)
    found = {family.name: family for family in registry.collect()}
    assert set(found) == {
        "agentic_mcp_tool_calls",
        "agentic_mcp_tool_call_seconds",
        "agentic_mcp_records_pending",
        "agentic_mcp_sessions_alive",
    }
    assert registry.get_sample_value("agentic_mcp_tool_calls_total", {"outcome": "ok"}) == 1
    assert registry.get_sample_value("agentic_mcp_records_pending") == 3
    assert registry.get_sample_value("agentic_mcp_sessions_alive") == 2
