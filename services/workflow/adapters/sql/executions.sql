-- name: record
SELECT workflow.record_transitions(
    $1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::bytea[], $7::uuid[], $8::uuid[], $9::uuid[],
    $10::integer[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::integer[], $15::text[], $16::text[],
    $17::bytea[], $18::uuid[], $19::text[], $20::text[], $21::timestamptz[], $22::uuid[])

-- name: open_executions
SELECT id FROM executions WHERE completed_at IS NULL AND id > $1 ORDER BY id LIMIT $2

-- name: get_row
SELECT id, tenant_id, workflow_id, workflow_revision, status, started_at, completed_at, version
FROM executions WHERE id = $1

-- name: ended
SELECT id FROM executions WHERE id = ANY($1::uuid[]) AND completed_at IS NOT NULL
