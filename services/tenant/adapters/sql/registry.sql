-- name: lock_owners
SELECT pg_advisory_xact_lock(hashtext('tenant.owners'), hashtext($1::text))

-- name: owners
SELECT id FROM users WHERE tenant_id = $1 AND role = 'owner' AND status = 'active'

-- name: add_tenant
INSERT INTO tenants (tenant_id, slug, name, plan, status, parent_id, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: add_user
INSERT INTO users (tenant_id, id, email, password_hash, role, status, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: remove_user
DELETE FROM users WHERE id = $1

-- name: add_api_key
INSERT INTO api_keys (tenant_id, id, name, prefix, digest, scopes, created_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: revoke_api_key
UPDATE api_keys SET revoked_at = $2 WHERE id = $1

-- name: tenant
SELECT tenant_id, slug, name, plan, status, parent_id, created_at, updated_at FROM tenants WHERE tenant_id = $1

-- name: tenants
SELECT tenant_id, slug, name, plan, status, parent_id, created_at, updated_at
FROM tenants
WHERE $3::timestamptz IS NULL OR (created_at, tenant_id) < ($3, $4)
ORDER BY created_at DESC, tenant_id DESC
LIMIT $1 OFFSET $2

-- name: count_tenants
SELECT count(*) FROM tenants

-- name: user
SELECT id, tenant_id, email, role, status, created_at FROM users WHERE id = $1

-- name: users
SELECT id, tenant_id, email, role, status, created_at
FROM users
WHERE $3::timestamptz IS NULL OR (created_at, id) < ($3, $4)
ORDER BY created_at DESC, id DESC
LIMIT $1 OFFSET $2

-- name: count_users
SELECT count(id) FROM users

-- name: api_key
SELECT id, tenant_id, name, prefix, scopes, created_by, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
WHERE id = $1

-- name: api_keys
SELECT id, tenant_id, name, prefix, scopes, created_by, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
WHERE $3::timestamptz IS NULL OR (created_at, id) < ($3, $4)
ORDER BY created_at DESC, id DESC
LIMIT $1 OFFSET $2

-- name: count_api_keys
SELECT count(id) FROM api_keys

-- name: standing
SELECT CASE $2::text
    WHEN 'user' THEN EXISTS (SELECT FROM users u WHERE u.id = $3 AND u.status = 'active')
    WHEN 'key' THEN EXISTS (
        SELECT FROM api_keys k
        WHERE k.id = $3 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()))
    ELSE true
END
FROM tenants
WHERE tenant_id = $1 AND status = 'active'

-- name: claim
INSERT INTO requests (tenant_id, id, digest) VALUES ($1, $2, $3)

-- name: claimed
SELECT digest FROM requests WHERE id = $1
