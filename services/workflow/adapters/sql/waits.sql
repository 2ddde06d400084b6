-- name: begin
INSERT INTO waits (tenant_id, id, execution_id, workflow_id, path, kind, name, assignees, details, since, deadline,
                   ended_at, outcome, ended_by, answer)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (id) DO UPDATE
SET name = EXCLUDED.name, assignees = EXCLUDED.assignees, details = EXCLUDED.details, since = EXCLUDED.since,
    deadline = EXCLUDED.deadline, ended_at = EXCLUDED.ended_at, outcome = EXCLUDED.outcome,
    ended_by = EXCLUDED.ended_by, answer = EXCLUDED.answer

-- name: finish
UPDATE waits SET ended_at = $2, outcome = $3, ended_by = $4, answer = $5 WHERE id = $1

-- name: workflows_of
SELECT e.id, e.workflow_id
FROM unnest($1::uuid[]) AS wanted (id), LATERAL (SELECT * FROM executions x WHERE x.id = wanted.id LIMIT 1) AS e

-- name: archive
DELETE FROM waits WHERE id = ANY($1::uuid[])

-- name: clear
DELETE FROM waits

-- name: digest
-- A sum of hashes, whose size does not grow with the rows.
SELECT concat_ws(':', count(*), sum(hash_record_extended(
    ROW(tenant_id, id, execution_id, workflow_id, path, kind, name, assignees, details, since, deadline, ended_at,
        outcome, ended_by, answer), 0)))
FROM waits

-- name: get
SELECT w.*, coalesce(w.outcome, CASE WHEN e.completed_at IS NULL THEN 'pending' ELSE 'cancelled' END) AS status
FROM waits w JOIN executions e ON e.id = w.execution_id
WHERE w.id = $1 AND w.kind = ANY($2::text[])

-- name: page
SELECT * FROM (
    SELECT w.*, row_number() OVER (ORDER BY since DESC, id DESC) AS place,
           w.kind = ANY($6::text[]) AND ($7::text IS NULL OR w.status = $7)
           AND ($8::text IS NULL OR $8 = ANY (w.assignees)) AND ($9::uuid IS NULL OR w.workflow_id = $9) AS wanted
    FROM (
        SELECT w.*, coalesce(w.outcome, CASE WHEN e.completed_at IS NULL THEN 'pending' ELSE 'cancelled' END) AS status
        FROM (
            SELECT * FROM waits WHERE (since, id) < ($1::timestamptz, $2::uuid)
            ORDER BY since DESC, id DESC LIMIT $3
        ) w CROSS JOIN LATERAL (SELECT completed_at FROM executions WHERE id = w.execution_id OFFSET 0) e
        ORDER BY w.since DESC, w.id DESC
    ) w
) p
WHERE wanted OR place = $3
ORDER BY since DESC, id DESC
LIMIT $4 OFFSET $5

-- name: page_of_pending
SELECT * FROM (
    SELECT w.*, row_number() OVER (ORDER BY since DESC, id DESC) AS place,
           w.kind = ANY($6::text[]) AND w.status = $7
           AND ($8::text IS NULL OR $8 = ANY (w.assignees)) AND ($9::uuid IS NULL OR w.workflow_id = $9) AS wanted
    FROM (
        SELECT w.*, CASE WHEN e.completed_at IS NULL THEN 'pending' ELSE 'cancelled' END AS status
        FROM (
            SELECT * FROM waits WHERE ended_at IS NULL AND (since, id) < ($1::timestamptz, $2::uuid)
            ORDER BY since DESC, id DESC LIMIT $3
        ) w CROSS JOIN LATERAL (SELECT completed_at FROM executions WHERE id = w.execution_id OFFSET 0) e
        ORDER BY w.since DESC, w.id DESC
    ) w
) p
WHERE wanted OR place = $3
ORDER BY since DESC, id DESC
LIMIT $4 OFFSET $5

-- name: count
SELECT count(*) AS looked_at, count(*) FILTER (
        WHERE w.kind = ANY($2::text[])
        AND ($3::text IS NULL
             OR coalesce(w.outcome, CASE WHEN e.completed_at IS NULL THEN 'pending' ELSE 'cancelled' END) = $3)
        AND ($4::text IS NULL OR $4 = ANY (w.assignees)) AND ($5::uuid IS NULL OR w.workflow_id = $5)) AS found
FROM (SELECT * FROM waits ORDER BY since DESC, id DESC LIMIT $1) w
CROSS JOIN LATERAL (SELECT completed_at FROM executions WHERE id = w.execution_id OFFSET 0) e

-- name: count_pending
SELECT count(*) AS looked_at, count(*) FILTER (
        WHERE w.kind = ANY($2::text[]) AND $3::text = 'pending' AND e.completed_at IS NULL
        AND ($4::text IS NULL OR $4 = ANY (w.assignees)) AND ($5::uuid IS NULL OR w.workflow_id = $5)) AS found
FROM (SELECT * FROM waits WHERE ended_at IS NULL ORDER BY since DESC, id DESC LIMIT $1) w
CROSS JOIN LATERAL (SELECT completed_at FROM executions WHERE id = w.execution_id OFFSET 0) e
