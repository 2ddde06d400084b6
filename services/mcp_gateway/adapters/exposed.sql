-- name: take
WITH before AS (
    SELECT CASE WHEN status = 'active' THEN tool END AS tool
    FROM exposed_workflows
    WHERE tenant_id = $1 AND workflow_id = $2
), after AS (
    INSERT INTO exposed_workflows AS w (tenant_id, workflow_id, tool, tool_version, status, status_version, position)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (tenant_id, workflow_id) DO UPDATE
    SET tool = CASE WHEN EXCLUDED.tool_version > w.tool_version
                      OR $8 AND EXCLUDED.tool_version = w.tool_version THEN EXCLUDED.tool ELSE w.tool END,
        tool_version = greatest(EXCLUDED.tool_version, w.tool_version),
        status = CASE WHEN EXCLUDED.status_version > w.status_version
                        OR $8 AND EXCLUDED.status_version = w.status_version THEN EXCLUDED.status ELSE w.status END,
        status_version = greatest(EXCLUDED.status_version, w.status_version),
        position = greatest(EXCLUDED.position, w.position)
    WHERE EXCLUDED.tool_version > w.tool_version
       OR EXCLUDED.status_version > w.status_version
       OR $8 AND EXCLUDED.tool_version = w.tool_version AND EXCLUDED.tool IS DISTINCT FROM w.tool
       OR $8 AND EXCLUDED.status_version = w.status_version AND EXCLUDED.status <> w.status
    RETURNING CASE WHEN status = 'active' THEN tool END AS tool
)
SELECT after.tool IS DISTINCT FROM before.tool
FROM after LEFT JOIN before ON true

-- name: drop_others
UPDATE exposed_workflows
SET status = 'gone', position = $2
WHERE tool IS NOT NULL AND status = 'active' AND position <= $2 AND workflow_id <> ALL ($1::uuid[])
RETURNING tenant_id

-- name: listed
SELECT tool
FROM (
    SELECT tool, position, workflow_id,
           sum(octet_length(tool)) OVER (ORDER BY position, workflow_id) - octet_length(tool) AS bytes_before
    FROM exposed_workflows
    WHERE tool IS NOT NULL AND status = 'active'
) AS measured
WHERE bytes_before < $2
ORDER BY position, workflow_id
LIMIT $1
