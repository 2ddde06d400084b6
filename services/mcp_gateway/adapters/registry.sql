-- name: find
SELECT tenant_id, id, definition, status, revision, stream_version, created_at, updated_at
FROM servers
WHERE id = $1 OR slug = $2
ORDER BY id = $1 DESC NULLS LAST
LIMIT 1

-- name: last_position
SELECT max(position) FROM events WHERE stream_id = $1

-- name: insert
INSERT INTO servers (tenant_id, id, slug, stream_version, definition, status, revision, created_at, updated_at)
VALUES ($1, $2, $3, 1, $4::jsonb, 'active', 1, $5, $5)

-- name: insert_health
INSERT INTO server_health (tenant_id, server_id) VALUES ($1, $2)

-- name: update
UPDATE servers
SET slug = $3, definition = $4::jsonb, status = $5, revision = $6, updated_at = $7, stream_version = stream_version + 1
WHERE id = $1 AND stream_version = $2
RETURNING true

-- name: lock
SELECT true FROM servers WHERE id = $1 AND stream_version = $2 FOR UPDATE

-- name: delete
DELETE FROM servers WHERE id = $1

-- name: count
SELECT count(*) FROM servers

-- name: list_page
SELECT s.tenant_id, s.id, s.definition, s.status, s.revision, s.stream_version, s.created_at, s.updated_at,
       h.health_status, h.checked_at, h.latency_ms, h.error_message, h.tools, h.resources, h.prompts,
       c.total, c.successful, c.failed
FROM servers s
LEFT JOIN server_health h ON h.server_id = s.id
LEFT JOIN server_counters c ON c.server_id = s.id
WHERE ($1::uuid IS NULL OR s.id = $1)
  AND ($2::text IS NULL OR s.status = $2)
  AND ($3::text IS NULL OR s.definition ->> 'category' = $3)
  AND ($4::text IS NULL OR s.definition ->> 'server_type' = $4)
  AND ($5::timestamptz IS NULL OR (s.created_at, s.id) > ($5, $6::uuid))
ORDER BY s.created_at, s.id
LIMIT $7 OFFSET $8

-- name: count_matching
SELECT count(*)
FROM servers s
WHERE ($1::uuid IS NULL OR s.id = $1)
  AND ($2::text IS NULL OR s.status = $2)
  AND ($3::text IS NULL OR s.definition ->> 'category' = $3)
  AND ($4::text IS NULL OR s.definition ->> 'server_type' = $4)

-- name: save_health
INSERT INTO server_health (tenant_id, server_id, health_status, checked_at, latency_ms, error_message)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (server_id) DO UPDATE
SET health_status = EXCLUDED.health_status, checked_at = EXCLUDED.checked_at, latency_ms = EXCLUDED.latency_ms,
    error_message = EXCLUDED.error_message

-- name: save_offer
UPDATE server_health SET tools = $2::jsonb, resources = $3::jsonb, prompts = $4::jsonb
WHERE server_id = $1 AND (tools, resources, prompts) IS DISTINCT FROM ($2::jsonb, $3::jsonb, $4::jsonb)

-- name: executions_page
SELECT t.id, t.server_id, t.tool_name, t.agent_id, t.conversation_id, t.status, t.error_code, t.error_message,
       t.duration_ms, t.response_ms, t.attempt, t.parent_id, t.started_at, t.completed_at,
       CASE WHEN octet_length(asked.data) <= $9 THEN asked.data END AS asked,
       CASE WHEN octet_length(ended.data) <= $9 THEN ended.data END AS ended
FROM tool_executions t
LEFT JOIN events asked ON asked.stream_id = t.id AND asked.version = 1
LEFT JOIN events ended ON ended.stream_id = t.id AND ended.version = 2
WHERE ($1::uuid IS NULL OR t.id = $1)
  AND ($2::uuid IS NULL OR t.server_id = $2)
  AND ($3::text IS NULL OR t.tool_name = $3)
  AND ($4::text IS NULL OR t.status = $4)
  AND ($5::timestamptz IS NULL OR (t.started_at, t.id) < ($5, $6))
ORDER BY t.started_at DESC, t.id DESC
LIMIT $7 OFFSET $8

-- name: count_executions
SELECT count(*)
FROM tool_executions t
WHERE ($1::uuid IS NULL OR t.server_id = $1)
  AND ($2::text IS NULL OR t.tool_name = $2)
  AND ($3::text IS NULL OR t.status = $3)
