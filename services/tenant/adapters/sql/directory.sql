-- name: logins
SELECT u.tenant_id, u.id, u.role, u.password_hash
FROM users u
JOIN tenants t USING (tenant_id)
WHERE u.email = $1 AND u.status = 'active' AND t.status = 'active' AND ($2::text IS NULL OR t.slug = $2)
LIMIT 2

-- name: key
SELECT k.tenant_id, k.id, k.scopes
FROM api_keys k
JOIN tenants t USING (tenant_id)
WHERE k.digest = ANY($1::bytea[]) AND k.revoked_at IS NULL AND t.status = 'active'
  AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())

-- name: note_use
UPDATE api_keys SET last_used_at = clock_timestamp(), digest = $3
WHERE id = $1
  AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - make_interval(secs => $2) OR digest <> $3)

-- name: active_tenant
SELECT tenant_id FROM tenants WHERE slug = $1 AND status = 'active'

-- name: revoked
SELECT CASE type WHEN 'tenant.user-deleted.v1' THEN 'user:' ELSE 'key:' END || stream_id
FROM events
WHERE type IN ('tenant.user-deleted.v1', 'tenant.api-key-revoked.v1')
  AND recorded_at > clock_timestamp() - make_interval(secs => $1)
ORDER BY recorded_at DESC
LIMIT $2

-- A command is refused for its age before it could come again after its row is gone.
-- name: first_use
WITH forgotten AS (
    DELETE FROM operator_commands WHERE seen_at < clock_timestamp() - make_interval(secs => $2)
)
INSERT INTO operator_commands (nonce) VALUES ($1)
ON CONFLICT DO NOTHING
RETURNING true
