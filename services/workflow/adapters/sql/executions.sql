-- name: record
SELECT workflow.record_transitions(
    $1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::bytea[], $7::uuid[], $8::uuid[], $9::uuid[],
    $10::integer[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::integer[], $15::text[], $16::text[],
    $17::bytea[], $18::uuid[], $19::text[], $20::text[], $21::timestamptz[], $22::uuid[])

-- name: open_executions
SELECT id FROM executions
WHERE completed_at IS NULL AND (get_byte(uuid_send(id), 15) & 31) = ANY ($1::integer[]) AND id > $2
ORDER BY id LIMIT $3

-- name: get_row
SELECT id, tenant_id, workflow_id, workflow_revision, status, started_at, completed_at, version, false AS archived
FROM executions WHERE id = $1

-- name: ended
SELECT e.id
FROM unnest($1::uuid[]) AS wanted (id), LATERAL (SELECT * FROM executions x WHERE x.id = wanted.id LIMIT 1) AS e
WHERE e.completed_at IS NOT NULL

-- name: newest_ended
SELECT id, tenant_id, workflow_id, workflow_revision, status, started_at, completed_at, version
FROM executions
WHERE workflow_id = $1 AND completed_at IS NOT NULL
  AND ($2::timestamptz IS NULL OR (started_at, id) < ($2, $3))
ORDER BY started_at DESC, id DESC
LIMIT $4
