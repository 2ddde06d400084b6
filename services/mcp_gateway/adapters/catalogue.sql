-- name: list
SELECT slug, name, title, description, version, kinds, added_at FROM catalogue_entries

-- name: find
SELECT id, slug, name, title, description, version, kinds, added_at, server FROM catalogue_entries WHERE slug = $1

-- name: count
SELECT count(*) FROM catalogue_entries

-- name: insert
INSERT INTO catalogue_entries (tenant_id, id, slug, name, title, description, version, kinds, server, added_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: delete
DELETE FROM catalogue_entries WHERE id = $1 RETURNING true

-- name: position_of
SELECT max(position) FROM events WHERE stream_id = $1
