-- name: record
SELECT workflow.record_transitions(
    $1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::bytea[], $7::uuid[], $8::uuid[], $9::uuid[],
    $10::integer[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::integer[])

-- name: open_executions
SELECT id FROM executions WHERE completed_at IS NULL AND id > $1 ORDER BY id LIMIT $2

-- name: get_row
SELECT id, tenant_id, workflow_id, workflow_revision, status, started_at, completed_at, version, false AS archived
FROM executions WHERE id = $1

-- name: list_rows
SELECT id, tenant_id, workflow_id, workflow_revision, status, started_at, completed_at, version
FROM executions
WHERE ($1::uuid IS NULL OR workflow_id = $1) AND ($2::text IS NULL OR status = $2) 
  AND ($3::timestamptz IS NULL OR (started_at, id) < ($3, $4))
ORDER BY started_at DESC, id DESC
OFFSET $5 LIMIT $6

-- name: count_rows
SELECT count(*) FROM executions WHERE ($1::uuid IS NULL OR workflow_id = $1) AND ($2::text IS NULL OR status = $2)

-- name: ended
SELECT id FROM executions WHERE id = ANY($1::uuid[]) AND completed_at IS NOT NULL
