-- name: insert
INSERT INTO workflows (tenant_id, id, slug, name, description, category, tags, version, revision, status, definition,
                       event_subjects, stream_version, created_by, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)

-- name: update
UPDATE workflows
SET slug = $2, name = $3, description = $4, category = $5, tags = $6, version = $7, revision = $8, status = $9,
    definition = $10, event_subjects = $11, stream_version = $12, updated_at = $13
WHERE id = $1

-- name: insert_revision
INSERT INTO revisions (tenant_id, workflow_id, revision, definition, created_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: delete
DELETE FROM workflows WHERE id = $1

-- name: get
SELECT w.*, coalesce(c.execution_count, 0) AS execution_count, coalesce(c.success_count, 0) AS success_count,
       coalesce(c.failure_count, 0) AS failure_count, coalesce(c.total_duration_ms, 0) AS total_duration_ms
FROM workflows w LEFT JOIN workflow_counters c ON c.workflow_id = w.id
WHERE w.id = $1 OR w.slug = $2

-- name: list
SELECT w.*, coalesce(c.execution_count, 0) AS execution_count, coalesce(c.success_count, 0) AS success_count,
       coalesce(c.failure_count, 0) AS failure_count, coalesce(c.total_duration_ms, 0) AS total_duration_ms
FROM workflows w LEFT JOIN workflow_counters c ON c.workflow_id = w.id
WHERE ($1::text IS NULL OR w.slug = $1) AND ($2::text IS NULL OR w.category = $2)
  AND ($3::text IS NULL OR $3 = ANY (w.tags))
  AND ($4::text IS NULL OR strpos(lower(w.name || ' ' || w.description), lower($4)) > 0)
  AND ($5::text IS NULL OR w.status = $5)
  AND ($6::timestamptz IS NULL OR (w.created_at, w.id) > ($6, $7))
ORDER BY w.created_at, w.id
OFFSET $8 LIMIT $9

-- name: count
SELECT count(*)
FROM workflows w
WHERE ($1::text IS NULL OR w.slug = $1) AND ($2::text IS NULL OR w.category = $2)
  AND ($3::text IS NULL OR $3 = ANY (w.tags))
  AND ($4::text IS NULL OR strpos(lower(w.name || ' ' || w.description), lower($4)) > 0)
  AND ($5::text IS NULL OR w.status = $5)

-- name: revisions
SELECT revision, definition, created_by, created_at FROM revisions WHERE workflow_id = $1 ORDER BY revision DESC

-- name: has_executions
SELECT EXISTS (SELECT 1 FROM executions WHERE workflow_id = $1)
    OR EXISTS (SELECT 1 FROM archived_counts WHERE workflow_id = $1)

-- name: definition
SELECT definition FROM revisions WHERE workflow_id = $1 AND revision = $2

-- name: resolve
SELECT id, revision, status FROM workflows WHERE tenant_id = $1 AND (id = $2 OR slug = $3)

-- name: triggered_by
SELECT id, revision FROM workflows WHERE tenant_id = $1 AND status = 'active' AND event_subjects <> '{}'

-- name: add_counts
INSERT INTO workflow_counters AS c (tenant_id, workflow_id, execution_count, success_count, failure_count,
                                    total_duration_ms)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::double precision[])
ON CONFLICT (workflow_id) DO UPDATE
SET execution_count = c.execution_count + EXCLUDED.execution_count,
    success_count = c.success_count + EXCLUDED.success_count,
    failure_count = c.failure_count + EXCLUDED.failure_count,
    total_duration_ms = c.total_duration_ms + EXCLUDED.total_duration_ms

-- name: clear_counters
DELETE FROM workflow_counters

-- name: begin_with_archived
INSERT INTO workflow_counters (tenant_id, workflow_id, execution_count, success_count, failure_count, total_duration_ms)
SELECT tenant_id, workflow_id, execution_count, success_count, failure_count, total_duration_ms FROM archived_counts

-- name: add_archived_counts
INSERT INTO archived_counts AS c (tenant_id, workflow_id, execution_count, success_count, failure_count,
                                  total_duration_ms)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::double precision[])
ON CONFLICT (workflow_id) DO UPDATE
SET execution_count = c.execution_count + EXCLUDED.execution_count,
    success_count = c.success_count + EXCLUDED.success_count,
    failure_count = c.failure_count + EXCLUDED.failure_count,
    total_duration_ms = c.total_duration_ms + EXCLUDED.total_duration_ms

-- name: digest_counters
SELECT coalesce(md5(string_agg(concat_ws(':', workflow_id, execution_count, success_count, failure_count,
                                         round(total_duration_ms)), ',' ORDER BY workflow_id)), '')
FROM workflow_counters

-- name: of_executions
SELECT id, workflow_id, started_at, completed_at FROM executions WHERE id = ANY($1::uuid[])

-- name: defined_at
SELECT position FROM events WHERE stream_id = $1 AND version = 1
