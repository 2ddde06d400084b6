-- name: active
SELECT kid, wrapped_key FROM signing_keys WHERE retired_at IS NULL

-- name: add
INSERT INTO signing_keys (kid, public_key, wrapped_key) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING

-- name: published
SELECT kid, public_key FROM signing_keys ORDER BY created_at DESC
