-- name: claim
-- What the first request was given to name is kept for a repeat of the same request, whether that is still running
-- (0), broke off, or was refused (-1); a mended request, and one of another day, names something new.
INSERT INTO idempotency_keys AS k (tenant_id, key, request_hash, resource_id, status, body, headers)
VALUES ($1, $2, $3, $4, 0, ''::bytea, '{}')
ON CONFLICT (tenant_id, key) DO UPDATE
SET request_hash = EXCLUDED.request_hash, status = 0, created_at = clock_timestamp(),
    resource_id = CASE WHEN k.request_hash = EXCLUDED.request_hash AND k.created_at >= clock_timestamp() - $5::interval
                       THEN k.resource_id ELSE EXCLUDED.resource_id END
WHERE k.status = -1
   OR (k.status = 0 AND k.request_hash = EXCLUDED.request_hash AND k.created_at < clock_timestamp() - $6::interval)
   OR k.created_at < clock_timestamp() - $5::interval
RETURNING resource_id

-- name: read
SELECT request_hash, status, body, headers FROM idempotency_keys WHERE tenant_id = $1 AND key = $2

-- name: complete
UPDATE idempotency_keys SET status = $3, body = $4, headers = $5::jsonb
WHERE tenant_id = $1 AND key = $2 AND request_hash = $6

-- name: release
UPDATE idempotency_keys SET status = -1
WHERE tenant_id = $1 AND key = $2 AND status = 0 AND request_hash = $3

-- name: purge
DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - $1::interval
