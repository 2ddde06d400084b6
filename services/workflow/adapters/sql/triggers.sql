-- name: keep_schedules
DELETE FROM schedules
WHERE workflow_id = $1
  AND (cron, timezone, nth) NOT IN (SELECT * FROM unnest($2::text[], $3::text[], $4::integer[]))

-- name: add_schedules
INSERT INTO schedules (tenant_id, workflow_id, cron, timezone, nth, next_fire_at)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::integer[], $6::timestamptz[])
ON CONFLICT (workflow_id, cron, timezone, nth) DO NOTHING

-- name: due
SELECT s.tenant_id, s.workflow_id, s.cron, s.timezone, s.nth, s.next_fire_at, w.revision
FROM schedules s JOIN workflows w ON w.id = s.workflow_id
WHERE s.next_fire_at <= $1
ORDER BY s.next_fire_at
LIMIT $2

-- name: advance
WITH moves AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[])
        AS m (workflow_id, cron, timezone, nth, place, following)
), locked AS (
    -- Always in the same order: of two that move the same schedules, one waits for the other.
    SELECT s.workflow_id, s.cron, s.timezone, s.nth, m.following
    FROM schedules s JOIN moves m USING (workflow_id, cron, timezone, nth)
    WHERE s.next_fire_at = m.place
    ORDER BY s.workflow_id, s.cron, s.timezone, s.nth
    FOR UPDATE OF s
)
UPDATE schedules s SET next_fire_at = l.following
FROM locked l
WHERE (s.workflow_id, s.cron, s.timezone, s.nth) = (l.workflow_id, l.cron, l.timezone, l.nth)
RETURNING s.workflow_id, s.cron, s.timezone, s.nth

-- name: keep_webhooks
DELETE FROM webhooks WHERE workflow_id = $1 AND NOT name = ANY ($2::text[])

-- name: add_webhooks
INSERT INTO webhooks (tenant_id, workflow_id, name, id, created_at)
SELECT $1, $2, name, id, $5 FROM unnest($3::text[], $4::uuid[]) AS new (name, id)
ON CONFLICT (workflow_id, name) DO NOTHING

-- name: rotate_webhook
UPDATE webhooks SET key_version = $3, previous_until = $4, rotated_at = $5 WHERE workflow_id = $1 AND name = $2

-- name: webhooks
SELECT id, name, key_version, previous_until, created_at, rotated_at FROM webhooks WHERE workflow_id = $1 ORDER BY name

-- name: webhook
SELECT h.tenant_id, h.workflow_id, h.name, h.key_version, h.previous_until, w.status, w.revision
FROM webhooks h JOIN workflows w ON w.id = h.workflow_id
WHERE h.id = $1
