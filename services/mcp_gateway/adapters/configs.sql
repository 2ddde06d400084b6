-- name: insert
INSERT INTO configs (tenant_id, id, server_id, agent_id, profile, stream_version, definition, revision, created_at,
                     updated_at)
VALUES ($1, $2, $3, $4, $5, 1, $6::jsonb, 1, $7, $7)

-- name: find
SELECT tenant_id, id, definition, revision, stream_version, created_at, updated_at FROM configs WHERE id = $1

-- name: all
SELECT tenant_id, id, definition, revision, stream_version, created_at, updated_at FROM configs

-- name: count
SELECT count(*) FROM configs

-- name: update
UPDATE configs
SET definition = $3::jsonb, revision = $4, updated_at = $5, stream_version = stream_version + 1
WHERE id = $1 AND stream_version = $2
RETURNING true

-- name: delete
DELETE FROM configs WHERE id = $1 AND stream_version = $2 RETURNING true

-- name: delete_of_server
DELETE FROM configs WHERE server_id = $1 RETURNING id, stream_version

-- name: last_position
SELECT max(position) FROM events WHERE stream_id = $1

-- name: page
SELECT tenant_id, id, definition, revision, stream_version, created_at, updated_at
FROM configs
WHERE ($1::uuid IS NULL OR server_id = $1)
  AND ($2::uuid IS NULL OR agent_id = $2)
  AND ($3::text IS NULL OR profile = $3)
  AND ($4::timestamptz IS NULL OR (created_at, id) > ($4, $5::uuid))
ORDER BY created_at, id
LIMIT $6 OFFSET $7

-- name: count_matching
SELECT count(*)
FROM configs
WHERE ($1::uuid IS NULL OR server_id = $1)
  AND ($2::uuid IS NULL OR agent_id = $2)
  AND ($3::text IS NULL OR profile = $3)
