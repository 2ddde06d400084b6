-- name: seen
SELECT
    (SELECT count(*) FROM mcp_gateway.events WHERE type = 'mcp.tool-call-requested.v1') AS begins,
    (SELECT count(*) FROM mcp_gateway.events WHERE type = 'mcp.tool-call-completed.v1') AS ends,
    (SELECT count(*) FROM mcp_gateway.tool_executions WHERE status = 'completed') AS rows,
    (SELECT coalesce(sum(successful), 0)::bigint FROM mcp_gateway.server_counters) AS counted

-- name: settled
-- Whether so many calls have ended on disk and JetStream has stored every public event.
SELECT (SELECT coalesce(sum(total), 0) FROM mcp_gateway.server_counters) >= $1
   AND NOT EXISTS (
    SELECT FROM mcp_gateway.events
    WHERE position > (SELECT coalesce(max(position), 0) FROM mcp_gateway.checkpoints WHERE name = 'relay')
)
