-- name: recorded
SELECT
    (SELECT count(*) FROM mcp_gateway.events WHERE type = 'mcp.tool-call-requested.v1') AS begins,
    (SELECT count(*) FROM mcp_gateway.events WHERE type = 'mcp.tool-call-completed.v1') AS ends,
    (SELECT count(*) FROM mcp_gateway.tool_executions WHERE status = 'completed') AS rows,
    (SELECT coalesce(sum(successful), 0)::bigint FROM mcp_gateway.server_counters) AS counted

-- name: relayed
-- Whether every public event was stored by JetStream.
SELECT NOT EXISTS (
    SELECT FROM mcp_gateway.events
    WHERE position > (SELECT coalesce(max(position), 0) FROM mcp_gateway.checkpoints WHERE name = 'relay')
)
