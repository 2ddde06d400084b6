-- name: take
-- One that is archived has begun, and needs nothing, although it has no status row any more.
SELECT 'known' AS outcome, '{}'::uuid[] AS admitted, '{}'::uuid[] AS leaving
WHERE EXISTS (SELECT FROM archived_executions WHERE id = $4)
UNION ALL
SELECT outcome, admitted, leaving
FROM workflow.take_slot($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
WHERE NOT EXISTS (SELECT FROM archived_executions WHERE id = $4)

-- name: settle
SELECT workflow.settle_slots($1, $2, $3, $4, $5)

-- name: give_back
DELETE FROM concurrency_slots s
WHERE s.execution_id = $1
  AND NOT EXISTS (SELECT FROM executions e WHERE e.id = s.execution_id AND e.version > s.after_version)

-- name: any
SELECT EXISTS (SELECT FROM concurrency_slots WHERE state = 'queued')

-- name: movable
-- Keys with somebody in the queue who could go on: found by leaps through the index, one key after another.
WITH RECURSIVE keys AS (
    (SELECT workflow_id, key FROM concurrency_slots WHERE state = 'queued' ORDER BY workflow_id, key LIMIT 1)
    UNION ALL
    SELECT next.workflow_id, next.key
    FROM keys k
    CROSS JOIN LATERAL (
        SELECT s.workflow_id, s.key FROM concurrency_slots s
        WHERE s.state = 'queued' AND (s.workflow_id, s.key) > (k.workflow_id, k.key)
        ORDER BY s.workflow_id, s.key
        LIMIT 1
    ) next
)
SELECT k.workflow_id, k.key, first.tenant_id
FROM keys k
CROSS JOIN LATERAL (
    SELECT s.tenant_id, s.slot_limit
    FROM concurrency_slots s,
         LATERAL (SELECT FROM executions e WHERE e.id = s.execution_id AND e.status = 'pending' LIMIT 1) begun
    WHERE s.workflow_id = k.workflow_id AND s.key = k.key AND s.state = 'queued' AND NOT s.leaving
    ORDER BY s.priority DESC, s.arrival
    LIMIT 1
) first
WHERE first.slot_limit > (
    SELECT count(*) FROM concurrency_slots s
    WHERE s.workflow_id = k.workflow_id AND s.key = k.key AND s.state = 'holding'
      AND NOT EXISTS (SELECT FROM executions e
                      WHERE e.id = s.execution_id AND e.version > s.after_version AND e.completed_at IS NOT NULL)
)
LIMIT $1

-- name: stale
SELECT DISTINCT s.workflow_id, s.key, s.tenant_id
FROM concurrency_slots s LEFT JOIN executions e ON e.id = s.execution_id AND e.version > s.after_version
WHERE e.completed_at IS NOT NULL OR (e.id IS NULL AND s.since < clock_timestamp() - $1::interval)
LIMIT $2

-- name: unadmitted
SELECT s.tenant_id, s.execution_id
FROM concurrency_slots s JOIN executions e ON e.id = s.execution_id
WHERE s.state = 'holding' AND NOT s.leaving AND e.status = 'pending'
LIMIT $1

-- name: leaving
SELECT s.tenant_id, s.execution_id
FROM concurrency_slots s JOIN executions e ON e.id = s.execution_id
WHERE s.leaving AND e.completed_at IS NULL
LIMIT $1

-- name: place
SELECT s.key, 1 + (SELECT count(*) FROM concurrency_slots ahead
                   WHERE ahead.workflow_id = s.workflow_id AND ahead.key = s.key AND ahead.state = 'queued'
                     AND (-ahead.priority, ahead.arrival) < (-s.priority, s.arrival)) AS position
FROM concurrency_slots s
WHERE s.execution_id = $1 AND s.state = 'queued'
