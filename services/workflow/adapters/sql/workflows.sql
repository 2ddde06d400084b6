-- name: insert
INSERT INTO workflows (tenant_id, id, slug, name, description, category, tags, version, revision, status, definition,
                       event_subjects, tool_name, stream_version, created_by, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)

-- name: update
UPDATE workflows
SET slug = $2, name = $3, description = $4, category = $5, tags = $6, version = $7, revision = $8, status = $9,
    definition = $10, event_subjects = $11, tool_name = $12, stream_version = $13, updated_at = $14
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
SELECT revision, definition, created_by, created_at
FROM (
    SELECT *, sum(octet_length(definition)) OVER (ORDER BY revision DESC) - octet_length(definition) AS bytes_before
    FROM (
        SELECT revision, definition, created_by, created_at
        FROM revisions
        WHERE workflow_id = $1 AND ($2::integer IS NULL OR revision < $2)
        ORDER BY revision DESC
        OFFSET $3 LIMIT $4
    ) AS page
) AS measured
WHERE bytes_before < $5
ORDER BY revision DESC

-- name: count_revisions
SELECT count(*) AS total, min(revision) AS oldest FROM revisions WHERE workflow_id = $1

-- name: has_executions
SELECT EXISTS (SELECT 1 FROM executions WHERE workflow_id = $1)
    OR EXISTS (SELECT 1 FROM archived_counts WHERE workflow_id = $1)

-- name: definition
SELECT definition FROM revisions WHERE workflow_id = $1 AND revision = $2

-- name: offered
SELECT tenant_id, id, stream_version, slug, definition
FROM (
    SELECT tenant_id, id, stream_version, slug, definition,
           sum(octet_length(definition)) OVER (ORDER BY id) - octet_length(definition) AS bytes_before
    FROM (
        SELECT tenant_id, id, stream_version, slug, definition
        FROM workflows
        WHERE tool_name IS NOT NULL AND status = 'active' AND id > $1
        ORDER BY id
        LIMIT $2
    ) AS page
) AS measured
WHERE bytes_before < $3
ORDER BY id

-- name: resolve
SELECT id, revision, status FROM workflows WHERE tenant_id = $1 AND (id = $2 OR slug = $3)

-- name: triggered_by
SELECT id, revision FROM workflows WHERE tenant_id = $1 AND status = 'active' AND event_subjects <> '{}'

-- name: defined_at
SELECT position FROM events WHERE stream_id = $1 AND version = 1
