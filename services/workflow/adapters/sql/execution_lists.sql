-- Each list is a stretch of one index, read in its order. What no index has is looked at row by row, over at most
-- so many rows ($5): the last of these is returned though it is not wanted, so that the next page goes on behind it.

-- name: by_start
SELECT * FROM (
    SELECT c.*, row_number() OVER (ORDER BY started_at DESC, id DESC) AS place,
           ($8::text IS NULL OR trigger = $8) AS wanted
    FROM (
        SELECT * FROM (
            (SELECT * FROM executions WHERE status = 'pending' AND 'pending' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE status = 'running' AND 'running' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE status = 'waiting' AND 'waiting' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE status = 'paused' AND 'paused' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE status = 'completed' AND 'completed' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE status = 'failed' AND 'failed' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE status = 'cancelled' AND 'cancelled' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
        ) merged ORDER BY started_at DESC, id DESC LIMIT $5
    ) c
) p
WHERE wanted OR place = $5
ORDER BY started_at DESC, id DESC
LIMIT $6 OFFSET $7

-- name: by_start_of_workflow
SELECT * FROM (
    SELECT c.*, row_number() OVER (ORDER BY started_at DESC, id DESC) AS place,
           ($8::text IS NULL OR trigger = $8) AS wanted
    FROM (
        SELECT * FROM (
            (SELECT * FROM executions WHERE workflow_id = $9 AND status = 'pending' AND 'pending' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE workflow_id = $9 AND status = 'running' AND 'running' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE workflow_id = $9 AND status = 'waiting' AND 'waiting' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE workflow_id = $9 AND status = 'paused' AND 'paused' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE workflow_id = $9 AND status = 'completed' AND 'completed' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE workflow_id = $9 AND status = 'failed' AND 'failed' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
            UNION ALL
            (SELECT * FROM executions WHERE workflow_id = $9 AND status = 'cancelled' AND 'cancelled' = ANY($1::text[])
             AND (started_at, id) < ($2::timestamptz, $3::uuid) AND started_at >= $4::timestamptz
             ORDER BY started_at DESC, id DESC LIMIT $5)
        ) merged ORDER BY started_at DESC, id DESC LIMIT $5
    ) c
) p
WHERE wanted OR place = $5
ORDER BY started_at DESC, id DESC
LIMIT $6 OFFSET $7

-- name: count_by_start
SELECT count(*) AS looked_at, count(*) FILTER (WHERE $4::text IS NULL OR trigger = $4) AS found
FROM (
    SELECT e.* FROM unnest($1::text[]) AS wanted (status) CROSS JOIN LATERAL (
        SELECT * FROM executions
        WHERE status = wanted.status AND started_at < $2::timestamptz AND started_at >= $3::timestamptz
        ORDER BY started_at DESC, id DESC LIMIT $5
    ) e
    LIMIT $5
) c

-- name: count_by_start_of_workflow
SELECT count(*) AS looked_at, count(*) FILTER (WHERE $4::text IS NULL OR trigger = $4) AS found
FROM (
    SELECT e.* FROM unnest($1::text[]) AS wanted (status) CROSS JOIN LATERAL (
        SELECT * FROM executions
        WHERE workflow_id = $6 AND status = wanted.status AND started_at < $2::timestamptz AND started_at >= $3::timestamptz
        ORDER BY started_at DESC, id DESC LIMIT $5
    ) e
    LIMIT $5
) c

-- name: by_end
SELECT * FROM (
    SELECT e.*, row_number() OVER (ORDER BY completed_at DESC, id DESC) AS place,
           (e.status = ANY($7::text[]) AND ($8::uuid IS NULL OR e.workflow_id = $8)
            AND ($9::text IS NULL OR e.trigger = $9)
            AND NOT EXISTS (
                SELECT 1 FROM unnest($10::text[], $11::text[]) AS other (name, value)
                WHERE NOT EXISTS (
                    SELECT 1 FROM execution_attributes a
                    WHERE a.name = other.name AND a.value = other.value AND a.started_at = e.started_at
                      AND a.execution_id = e.id))
            AND e.started_at < $12::timestamptz AND e.started_at >= $13::timestamptz) AS wanted
    FROM (
        SELECT * FROM executions
        WHERE completed_at IS NOT NULL AND (completed_at, id) < ($1::timestamptz, $2::uuid)
          AND completed_at >= $3::timestamptz
        ORDER BY completed_at DESC, id DESC LIMIT $4
    ) e
) p
WHERE wanted OR place = $4
ORDER BY completed_at DESC, id DESC
LIMIT $5 OFFSET $6

-- name: count_by_end
SELECT count(*) AS looked_at, count(*) FILTER (
        WHERE e.status = ANY($5::text[]) AND ($6::uuid IS NULL OR e.workflow_id = $6)
            AND ($7::text IS NULL OR e.trigger = $7)
            AND NOT EXISTS (
                SELECT 1 FROM unnest($8::text[], $9::text[]) AS other (name, value)
                WHERE NOT EXISTS (
                    SELECT 1 FROM execution_attributes a
                    WHERE a.name = other.name AND a.value = other.value AND a.started_at = e.started_at
                      AND a.execution_id = e.id))
            AND e.started_at < $10::timestamptz AND e.started_at >= $11::timestamptz) AS found
FROM (
        SELECT * FROM executions
        WHERE completed_at IS NOT NULL AND (completed_at, id) < ($1::timestamptz, $2::uuid)
          AND completed_at >= $3::timestamptz
        ORDER BY completed_at DESC, id DESC LIMIT $4
) e

-- name: by_attribute
SELECT * FROM (
    SELECT e.*, row_number() OVER (ORDER BY since DESC, of DESC) AS place,
           (e.status = ANY($7::text[]) AND ($8::uuid IS NULL OR e.workflow_id = $8)
            AND ($9::text IS NULL OR e.trigger = $9)
            AND NOT EXISTS (
                SELECT 1 FROM unnest($10::text[], $11::text[]) AS other (name, value)
                WHERE NOT EXISTS (
                    SELECT 1 FROM execution_attributes a
                    WHERE a.name = other.name AND a.value = other.value AND a.started_at = e.started_at
                      AND a.execution_id = e.id))) AS wanted
    FROM (
        SELECT e.*, a.started_at AS since, a.execution_id AS of FROM (
            SELECT started_at, execution_id FROM execution_attributes
            WHERE name = $12 AND value = $13 AND (started_at, execution_id) < ($1::timestamptz, $2::uuid)
              AND started_at >= $3::timestamptz
            ORDER BY started_at DESC, execution_id DESC LIMIT $4
        ) a CROSS JOIN LATERAL (SELECT * FROM executions WHERE id = a.execution_id OFFSET 0) e
        ORDER BY a.started_at DESC, a.execution_id DESC
    ) e
) p
WHERE wanted OR place = $4
ORDER BY since DESC, of DESC
LIMIT $5 OFFSET $6

-- name: count_by_attribute
SELECT count(*) AS looked_at, count(*) FILTER (
        WHERE e.status = ANY($5::text[]) AND ($6::uuid IS NULL OR e.workflow_id = $6)
            AND ($7::text IS NULL OR e.trigger = $7)
            AND NOT EXISTS (
                SELECT 1 FROM unnest($8::text[], $9::text[]) AS other (name, value)
                WHERE NOT EXISTS (
                    SELECT 1 FROM execution_attributes a
                    WHERE a.name = other.name AND a.value = other.value AND a.started_at = e.started_at
                      AND a.execution_id = e.id))) AS found
FROM (
        SELECT e.* FROM (
            SELECT started_at, execution_id FROM execution_attributes
            WHERE name = $10 AND value = $11 AND (started_at, execution_id) < ($1::timestamptz, $2::uuid)
              AND started_at >= $3::timestamptz
            ORDER BY started_at DESC, execution_id DESC LIMIT $4
        ) a CROSS JOIN LATERAL (SELECT * FROM executions WHERE id = a.execution_id OFFSET 0) e
        ORDER BY a.started_at DESC, a.execution_id DESC
) e

-- name: count_attribute
SELECT count(*) AS looked_at, count(*) AS found
FROM (
    SELECT 1 FROM execution_attributes
    WHERE name = $5 AND value = $6 AND (started_at, execution_id) < ($1::timestamptz, $2::uuid)
      AND started_at >= $3::timestamptz
    ORDER BY started_at DESC, execution_id DESC LIMIT $4
) c
