-- name: lock
SELECT pg_advisory_xact_lock(hashtext('tenant.secrets'), hashtext($1::text))

-- name: data_key
SELECT wrapped_key FROM data_keys WHERE tenant_id = $1

-- name: add_data_key
INSERT INTO data_keys (tenant_id, wrapped_key) VALUES ($1, $2)

-- name: remove_data_key
DELETE FROM data_keys WHERE tenant_id = $1

-- name: put
INSERT INTO secrets (tenant_id, id, name, description, version, ciphertext, created_at, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)
ON CONFLICT (tenant_id, name) DO UPDATE
SET description = $4, version = $5, ciphertext = $6, updated_at = $7, updated_by = $8
RETURNING id, tenant_id, name, description, version, created_at, updated_at, updated_by

-- name: remove
DELETE FROM secrets WHERE tenant_id = $1 AND name = $2

-- name: count
SELECT count(*) FROM secrets WHERE tenant_id = $1

-- name: names
SELECT name FROM secrets WHERE tenant_id = $1 ORDER BY name

-- name: secret
SELECT id, tenant_id, name, description, version, created_at, updated_at, updated_by
FROM secrets
WHERE tenant_id = $1 AND name = $2

-- name: secrets
SELECT id, tenant_id, name, description, version, created_at, updated_at, updated_by
FROM secrets
WHERE $3::timestamptz IS NULL OR (created_at, id) < ($3, $4)
ORDER BY created_at DESC, id DESC
LIMIT $1 OFFSET $2

-- name: count_secrets
SELECT count(*) FROM secrets

-- name: encrypted
SELECT s.name, s.version, s.ciphertext, k.wrapped_key
FROM secrets s
JOIN data_keys k USING (tenant_id)
JOIN tenants t USING (tenant_id)
WHERE s.tenant_id = $1 AND s.name = ANY($2::text[]) AND t.status = 'active'

-- name: data_keys
SELECT tenant_id, wrapped_key FROM data_keys
WHERE $2::uuid IS NULL OR tenant_id > $2
ORDER BY tenant_id
LIMIT $1

-- name: rewrap
UPDATE data_keys SET wrapped_key = $3 WHERE tenant_id = $1 AND wrapped_key = $2
