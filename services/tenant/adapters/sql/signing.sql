-- name: active
SELECT kid, wrapped_key FROM signing_keys WHERE retired_at IS NULL

-- name: add
INSERT INTO signing_keys (kid, public_key, wrapped_key) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING

-- A retired key is published for as long as the longest token lives that it may have signed.
-- name: published
SELECT kid, public_key FROM signing_keys
WHERE retired_at IS NULL OR retired_at > clock_timestamp() - make_interval(secs => $1)
ORDER BY created_at DESC

-- name: every
SELECT kid, wrapped_key FROM signing_keys WHERE retired_at IS NULL

-- name: rewrap
UPDATE signing_keys SET wrapped_key = $3 WHERE kid = $1 AND wrapped_key = $2
