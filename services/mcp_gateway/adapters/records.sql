-- name: record
SELECT record_calls(
    $1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::bytea[],
    $7::uuid[], $8::uuid[], $9::uuid[], $10::text[], $11::uuid[], $12::uuid[], $13::text[], $14::text[], $15::text[],
    $16::double precision[], $17::double precision[], $18::integer[], $19::uuid[], $20::timestamptz[],
    $21::timestamptz[]
)

-- name: running
SELECT tenant_id, id, server_id, tool_name, agent_id, conversation_id, attempt, parent_id, started_at
FROM tool_executions
WHERE status = 'running' AND started_at < $1
ORDER BY started_at
LIMIT $2
