-- name: claim
INSERT INTO idempotency_keys AS k (tenant_id, key, request_hash, status, body, headers)
VALUES ($1, $2, $3, 0, ''::bytea, '{}')
ON CONFLICT (tenant_id, key) DO UPDATE
SET request_hash = EXCLUDED.request_hash, status = 0, created_at = clock_timestamp()
WHERE (k.status = 0 AND k.created_at < clock_timestamp() - interval '1 minute')
   OR k.created_at < clock_timestamp() - interval '24 hours'
RETURNING true

-- name: read
SELECT request_hash, status, body, headers FROM idempotency_keys WHERE tenant_id = $1 AND key = $2

-- name: complete
UPDATE idempotency_keys SET status = $3, body = $4, headers = $5::jsonb WHERE tenant_id = $1 AND key = $2

-- name: release
DELETE FROM idempotency_keys WHERE tenant_id = $1 AND key = $2 AND status = 0
