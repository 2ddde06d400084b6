"""The gateway's metrics: all in the catalogue, under one prefix, with bounded labels."""

from prometheus_client import CollectorRegistry

from services.mcp_gateway.metrics import Metrics


def test_every_metric_of_the_service_is_in_its_catalogue() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.watch(records_pending=lambda: 3, sessions_alive=lambda: 2, left_alone=lambda: 1)
    metrics.observe_call("ok", 0.01, 3)
    metrics.observe_health("unhealthy")
    found = {family.name: family for family in registry.collect()}
    assert set(found) == {
        "agentic_mcp_tool_calls",
        "agentic_mcp_tool_call_seconds",
        "agentic_mcp_records_pending",
        "agentic_mcp_sessions_alive",
        "agentic_mcp_call_repeats",
        "agentic_mcp_health_changes",
        "agentic_mcp_servers_left_alone",
    }
    assert registry.get_sample_value("agentic_mcp_tool_calls_total", {"outcome": "ok"}) == 1
    assert registry.get_sample_value("agentic_mcp_call_repeats_total") == 2
    assert registry.get_sample_value("agentic_mcp_health_changes_total", {"health_status": "unhealthy"}) == 1
    assert registry.get_sample_value("agentic_mcp_servers_left_alone") == 1
    assert registry.get_sample_value("agentic_mcp_records_pending") == 3
    assert registry.get_sample_value("agentic_mcp_sessions_alive") == 2
