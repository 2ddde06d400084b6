-- name: append
SELECT platform.append_events($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::bytea[])

-- name: versions
-- One step into the index each, however long the stream is.
SELECT wanted.stream_id, last.version
FROM unnest($1::uuid[]) AS wanted (stream_id),
     LATERAL (SELECT version FROM events e WHERE e.stream_id = wanted.stream_id ORDER BY version DESC LIMIT 1) AS last

-- name: read_streams
SELECT e.position, e.tenant_id, e.stream_id, e.version, e.type, e.data, e.meta, e.recorded_at
FROM (SELECT DISTINCT unnest($1::uuid[])) AS wanted (stream_id)
LEFT JOIN snapshots s USING (stream_id)
JOIN events e ON e.stream_id = wanted.stream_id AND e.version > coalesce(s.version, 0)
ORDER BY e.stream_id, e.version

-- name: read_whole_streams
SELECT position, tenant_id, stream_id, version, type, data, meta, recorded_at
FROM events
WHERE stream_id = ANY($1::uuid[])
ORDER BY stream_id, version

-- name: read_stream
SELECT position, tenant_id, stream_id, version, type, data, meta, recorded_at
FROM events
WHERE stream_id = $1 AND version > $2 AND ($3::integer IS NULL OR version <= $3)
ORDER BY version
LIMIT $4

-- name: read_page
WITH stretch AS (SELECT least(coalesce(max(position), 0), $1::bigint + $2) AS upto FROM events)
SELECT position, tenant_id, stream_id, version, type, CASE WHEN octet_length(data) <= $3 THEN data END AS data, meta,
       recorded_at, upto, octet_length(data) AS size
FROM stretch LEFT JOIN events ON position > $1 AND position <= upto
ORDER BY position

-- name: read_page_of_types
WITH stretch AS (SELECT least(coalesce(max(position), 0), $1::bigint + $2) AS upto FROM events)
SELECT position, tenant_id, stream_id, version, type, CASE WHEN octet_length(data) <= $3 THEN data END AS data, meta,
       recorded_at, upto, octet_length(data) AS size
FROM stretch LEFT JOIN events ON position > $1 AND position <= upto AND type = ANY($4::text[])
ORDER BY position

-- name: read_data
SELECT position, data FROM events WHERE position = ANY($1::bigint[])

-- name: last_position
SELECT coalesce(max(position), 0) FROM events

-- name: load_snapshots
SELECT tenant_id, stream_id, version, state FROM snapshots WHERE stream_id = ANY($1::uuid[])

-- name: save_snapshot
INSERT INTO snapshots (tenant_id, stream_id, version, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (stream_id) DO UPDATE SET version = EXCLUDED.version, state = EXCLUDED.state
WHERE snapshots.version < EXCLUDED.version

-- name: read_checkpoint
SELECT position FROM checkpoints WHERE name = $1

-- name: save_checkpoint
INSERT INTO checkpoints (name, position) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position, updated_at = clock_timestamp()

-- name: lock_checkpoint
-- What a crash takes of a read model it takes of its checkpoint, too: such a transaction need not wait for the disk.
INSERT INTO checkpoints (name, position) VALUES ($1, 0)
ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name
RETURNING position, set_config('synchronous_commit', 'off', true)
