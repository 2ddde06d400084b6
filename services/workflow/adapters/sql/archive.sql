-- name: due_workflows
SELECT w.tenant_id, w.id, w.cutoff
FROM (
    SELECT w.tenant_id, w.id,
           $1::timestamptz - make_interval(days => coalesce(own.days, w.retention_days, all_of.days, $2)) AS cutoff
    FROM workflows w
    LEFT JOIN retention_policies own ON own.tenant_id = w.tenant_id AND own.workflow_id = w.id
    LEFT JOIN retention_policies all_of ON all_of.tenant_id = w.tenant_id AND all_of.workflow_id IS NULL
) w
-- Lateral with a limit, and no EXISTS: that would be planned as a join with all executions there are.
CROSS JOIN LATERAL (
    SELECT
    FROM (VALUES ('completed'), ('failed'), ('cancelled')) AS s (status)
    CROSS JOIN LATERAL (
        SELECT
        FROM executions e
        WHERE e.tenant_id = w.tenant_id AND e.workflow_id = w.id AND e.status = s.status
          AND e.started_at < w.cutoff AND e.completed_at < w.cutoff
        ORDER BY e.started_at, e.id
        LIMIT 1
    ) oldest
    LIMIT 1
) due
WHERE (w.tenant_id, w.id) > ($3::uuid, $4::uuid)
ORDER BY w.tenant_id, w.id
LIMIT $5

-- name: due_executions
SELECT e.id, e.completed_at
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS w (tenant_id, id, cutoff)
CROSS JOIN (VALUES ('completed'), ('failed'), ('cancelled')) AS s (status)
CROSS JOIN LATERAL (
    SELECT e.id, e.completed_at
    FROM executions e
    WHERE e.tenant_id = w.tenant_id AND e.workflow_id = w.id AND e.status = s.status
      AND e.started_at < w.cutoff AND e.completed_at < w.cutoff AND e.id <> ALL($4::uuid[])
    ORDER BY e.started_at, e.id
    LIMIT $5
) e
ORDER BY e.completed_at, e.id
LIMIT $5

-- name: sizes
SELECT stream_id, sum(octet_length(data) + octet_length(meta)) AS bytes
FROM events WHERE stream_id = ANY($1::uuid[]) GROUP BY stream_id

-- name: plan
INSERT INTO archive_objects (tenant_id, id, key, planned) VALUES ($1, $2, $3, $4)

-- name: planned
SELECT tenant_id, id, key, planned FROM archive_objects WHERE archived_at IS NULL ORDER BY id LIMIT $1

-- name: forget_plan
DELETE FROM archive_objects WHERE id = $1 AND archived_at IS NULL

-- name: ended_rows
SELECT tenant_id, id, workflow_id, workflow_revision, status, started_at, completed_at, version, trigger, error_code,
       labels
FROM executions WHERE id = ANY($1::uuid[]) AND tenant_id = $2 AND completed_at IS NOT NULL ORDER BY id

-- name: histories
SELECT position, tenant_id, stream_id, version, type, data, meta, recorded_at
FROM events WHERE stream_id = ANY($1::uuid[]) ORDER BY stream_id, version

-- name: hold_tails
SELECT name, position FROM checkpoints WHERE name = ANY($1::text[]) ORDER BY name FOR SHARE

-- name: settle_plan
UPDATE archive_objects
SET planned = '{}', archived_at = clock_timestamp(), executions = $2, bytes = $3, sha256 = $4
WHERE id = $1 AND archived_at IS NULL
RETURNING id

-- name: delete_rows
DELETE FROM executions e USING unnest($1::uuid[], $2::integer[]) AS w (id, version)
WHERE e.id = w.id AND e.version = w.version AND e.completed_at IS NOT NULL
RETURNING e.id

-- name: insert_index
INSERT INTO archived_executions (tenant_id, id, workflow_id, object_id, started_at, completed_at, start, length, line,
                                 workflow_revision, version, status)
SELECT $1, id, workflow_id, $2, started_at, completed_at, start, length, line, workflow_revision, version, status
FROM unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::integer[], $9::integer[],
            $10::integer[], $11::integer[], $12::text[])
     AS a (id, workflow_id, started_at, completed_at, start, length, line, workflow_revision, version, status)

-- name: delete_attributes
DELETE FROM execution_attributes a
USING unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[])
      AS w (tenant_id, name, value, started_at, execution_id)
WHERE a.tenant_id = w.tenant_id AND a.name = w.name AND a.value = w.value AND a.started_at = w.started_at
  AND a.execution_id = w.execution_id

-- name: delete_snapshots
DELETE FROM snapshots WHERE stream_id = ANY($1::uuid[])

-- name: delete_unplaced
SELECT workflow.delete_unplaced_events($1::uuid[])

-- name: find
SELECT a.tenant_id, a.id, a.workflow_id, a.workflow_revision, a.status, a.started_at, a.completed_at, a.version,
       true AS archived, o.key, a.start, a.length, a.line
FROM archived_executions a JOIN archive_objects o ON o.id = a.object_id
WHERE a.id = $1

-- name: archived
SELECT tenant_id, id, workflow_id, workflow_revision, status, started_at, completed_at, version
FROM archived_executions WHERE id = ANY($1::uuid[])

-- name: totals
SELECT count(*) AS objects, coalesce(sum(executions), 0)::bigint AS executions, coalesce(sum(bytes), 0)::bigint AS bytes
FROM archive_objects WHERE archived_at IS NOT NULL

-- name: oldest_ended
SELECT min(completed_at) FROM executions WHERE completed_at IS NOT NULL

-- name: due_count
SELECT count(*)
FROM (
    SELECT 1
    FROM (
        SELECT w.tenant_id, w.id, $1::timestamptz - make_interval(days => coalesce(own.days, w.retention_days, all_of.days, $2))
                     AS cutoff
        FROM workflows w
        LEFT JOIN retention_policies own ON own.workflow_id = w.id
        LEFT JOIN retention_policies all_of ON all_of.workflow_id IS NULL
    ) w
    CROSS JOIN (VALUES ('completed'), ('failed'), ('cancelled')) AS s (status)
    CROSS JOIN LATERAL (
        SELECT
        FROM executions e
        WHERE e.tenant_id = w.tenant_id AND e.workflow_id = w.id AND e.status = s.status
          AND e.started_at < w.cutoff AND e.completed_at < w.cutoff
        ORDER BY e.started_at, e.id
        LIMIT $3
    ) e
    LIMIT $3
) due

-- name: policies
SELECT workflow_id, days, updated_by, updated_at FROM retention_policies ORDER BY workflow_id NULLS FIRST LIMIT $1

-- name: wishes
SELECT id AS workflow_id, slug, retention_days AS days FROM workflows
WHERE retention_days IS NOT NULL ORDER BY created_at, id LIMIT $1

-- name: set_policy
INSERT INTO retention_policies (tenant_id, workflow_id, days, updated_by) VALUES ($1, $2, $3, $4)
ON CONFLICT ON CONSTRAINT retention_policies_one
DO UPDATE SET days = EXCLUDED.days, updated_by = EXCLUDED.updated_by, updated_at = clock_timestamp()

-- name: remove_policy
DELETE FROM retention_policies WHERE workflow_id IS NOT DISTINCT FROM $1::uuid

-- name: workflow_exists
SELECT EXISTS (SELECT 1 FROM workflows WHERE id = $1)
