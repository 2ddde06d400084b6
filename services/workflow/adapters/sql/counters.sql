-- name: add_counts
INSERT INTO workflow_counters AS c (tenant_id, workflow_id, execution_count, success_count, failure_count,
                                    total_duration_ms)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::double precision[])
ON CONFLICT (workflow_id) DO UPDATE
SET execution_count = c.execution_count + EXCLUDED.execution_count,
    success_count = c.success_count + EXCLUDED.success_count,
    failure_count = c.failure_count + EXCLUDED.failure_count,
    total_duration_ms = c.total_duration_ms + EXCLUDED.total_duration_ms

-- name: add_periods
INSERT INTO workflow_periods AS p (tenant_id, workflow_id, period, starts_at, started, completed, failed, cancelled)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[])
ON CONFLICT (tenant_id, period, starts_at, workflow_id) DO UPDATE
SET started = p.started + EXCLUDED.started, completed = p.completed + EXCLUDED.completed,
    failed = p.failed + EXCLUDED.failed, cancelled = p.cancelled + EXCLUDED.cancelled

-- name: add_durations
INSERT INTO workflow_durations AS d (tenant_id, workflow_id, period, starts_at, bucket, runs)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::smallint[], $6::bigint[])
ON CONFLICT (tenant_id, period, starts_at, workflow_id, bucket) DO UPDATE SET runs = d.runs + EXCLUDED.runs

-- name: clear_counters
DELETE FROM workflow_counters

-- name: clear_periods
DELETE FROM workflow_periods

-- name: clear_durations
DELETE FROM workflow_durations

-- name: add_archived_counts
INSERT INTO archived_counts AS c (tenant_id, workflow_id, execution_count, success_count, failure_count,
                                  total_duration_ms)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::double precision[])
ON CONFLICT (workflow_id) DO UPDATE
SET execution_count = c.execution_count + EXCLUDED.execution_count,
    success_count = c.success_count + EXCLUDED.success_count,
    failure_count = c.failure_count + EXCLUDED.failure_count,
    total_duration_ms = c.total_duration_ms + EXCLUDED.total_duration_ms

-- name: add_archived_periods
INSERT INTO archived_periods AS p (tenant_id, workflow_id, period, starts_at, started, completed, failed, cancelled)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[])
ON CONFLICT (tenant_id, period, starts_at, workflow_id) DO UPDATE
SET started = p.started + EXCLUDED.started, completed = p.completed + EXCLUDED.completed,
    failed = p.failed + EXCLUDED.failed, cancelled = p.cancelled + EXCLUDED.cancelled

-- name: add_archived_durations
INSERT INTO archived_durations AS d (tenant_id, workflow_id, period, starts_at, bucket, runs)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::smallint[], $6::bigint[])
ON CONFLICT (tenant_id, period, starts_at, workflow_id, bucket) DO UPDATE SET runs = d.runs + EXCLUDED.runs

-- name: begin_with_counts
INSERT INTO workflow_counters (tenant_id, workflow_id, execution_count, success_count, failure_count, total_duration_ms)
SELECT tenant_id, workflow_id, execution_count, success_count, failure_count, total_duration_ms FROM archived_counts

-- name: begin_with_periods
INSERT INTO workflow_periods (tenant_id, workflow_id, period, starts_at, started, completed, failed, cancelled)
SELECT tenant_id, workflow_id, period, starts_at, started, completed, failed, cancelled FROM archived_periods

-- name: begin_with_durations
INSERT INTO workflow_durations (tenant_id, workflow_id, period, starts_at, bucket, runs)
SELECT tenant_id, workflow_id, period, starts_at, bucket, runs FROM archived_durations

-- name: digest_counters
-- Sums of hashes, whose size does not grow with the rows.
SELECT concat_ws(
    '/',
    (SELECT concat_ws(':', count(*), sum(hash_record_extended(
        ROW(tenant_id, workflow_id, execution_count, success_count, failure_count, round(total_duration_ms)), 0)))
     FROM workflow_counters),
    (SELECT concat_ws(':', count(*), sum(hash_record_extended(
        ROW(tenant_id, workflow_id, period, starts_at, started, completed, failed, cancelled), 0)))
     FROM workflow_periods),
    (SELECT concat_ws(':', count(*), sum(hash_record_extended(
        ROW(tenant_id, workflow_id, period, starts_at, bucket, runs), 0)))
     FROM workflow_durations))

-- name: of_executions
-- One step into the index each: a plan made while the table was small reads all of it, however large it is by now.
SELECT e.id, e.workflow_id, e.started_at, e.completed_at
FROM unnest($1::uuid[]) AS wanted (id), LATERAL (SELECT * FROM executions x WHERE x.id = wanted.id LIMIT 1) AS e

-- name: ends_before
SELECT DISTINCT ON (retried.stream_id, retried.version)
       e.position, e.tenant_id, e.stream_id, e.version, e.type, e.data, e.meta, e.recorded_at
FROM unnest($1::uuid[], $2::integer[]) AS retried (stream_id, version)
JOIN events e ON e.stream_id = retried.stream_id AND e.version < retried.version AND e.type = ANY($3::text[])
ORDER BY retried.stream_id, retried.version, e.version DESC

-- name: sums
SELECT starts_at, sum(started)::bigint AS started, sum(completed)::bigint AS completed, sum(failed)::bigint AS failed,
       sum(cancelled)::bigint AS cancelled
FROM workflow_periods
WHERE period = $1 AND ($2::uuid IS NULL OR workflow_id = $2) AND starts_at >= $3 AND starts_at < $4
GROUP BY starts_at
ORDER BY starts_at

-- name: sums_of_workflows
SELECT p.workflow_id, w.slug, sum(started)::bigint AS started, sum(completed)::bigint AS completed,
       sum(failed)::bigint AS failed, sum(cancelled)::bigint AS cancelled
FROM workflow_periods p LEFT JOIN workflows w ON w.id = p.workflow_id
WHERE p.period = $1 AND ($2::uuid IS NULL OR p.workflow_id = $2) AND p.starts_at >= $3 AND p.starts_at < $4
GROUP BY p.workflow_id, w.slug
ORDER BY sum(started) DESC, p.workflow_id
LIMIT $5

-- name: durations
SELECT workflow_id, bucket, sum(runs)::bigint AS runs
FROM workflow_durations
WHERE period = $1 AND ($2::uuid IS NULL OR workflow_id = $2) AND starts_at >= $3 AND starts_at < $4
GROUP BY workflow_id, bucket

-- name: open_now
SELECT wanted.status, (
    SELECT count(*) FROM (
        SELECT 1 FROM executions e WHERE e.status = wanted.status ORDER BY started_at DESC, id DESC LIMIT $2
    ) c
) AS executions
FROM unnest($1::text[]) AS wanted (status)

-- name: open_now_of_workflow
SELECT wanted.status, (
    SELECT count(*) FROM (
        SELECT 1 FROM executions e WHERE e.status = wanted.status AND e.workflow_id = $3
        ORDER BY started_at DESC, id DESC LIMIT $2
    ) c
) AS executions
FROM unnest($1::text[]) AS wanted (status)
