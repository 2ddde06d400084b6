-- name: server
SELECT p.server_id IS NOT NULL AS listed, coalesce(p.stream_version, 0) AS stream_version, r.meta AS registered
FROM servers s
LEFT JOIN server_pins p ON p.server_id = s.id
LEFT JOIN events r ON r.stream_id = s.id AND r.version = 1
WHERE s.id = $1

-- name: lock_or_begin
INSERT INTO server_pins AS p (tenant_id, server_id) VALUES ($1, $2)
ON CONFLICT (server_id) DO UPDATE SET stream_version = p.stream_version
RETURNING xmax = 0 AS first

-- name: lock
SELECT stream_version FROM server_pins WHERE server_id = $1 FOR UPDATE

-- name: tools
SELECT tool_name, listed, approved_hash, approved_definition, approved_findings, approved_at, approved_by,
       pending_hash, pending_definition, pending_findings, pending_at, pending_reason, released_at
FROM tool_pins
WHERE server_id = $1
ORDER BY tool_name

-- name: save
INSERT INTO tool_pins (
    tenant_id, server_id, tool_name, status, listed, approved_hash, approved_definition, approved_findings, approved_at,
    approved_by, pending_hash, pending_definition, pending_findings, pending_at, pending_reason, released_at
)
SELECT $1, $2, *
FROM unnest(
    $3::text[], $4::text[], $5::boolean[], $6::text[], $7::bytea[], $8::bytea[], $9::timestamptz[], $10::text[],
    $11::text[], $12::bytea[], $13::bytea[], $14::timestamptz[], $15::text[], $16::timestamptz[]
)
ON CONFLICT (server_id, tool_name) DO UPDATE
SET status = EXCLUDED.status, listed = EXCLUDED.listed,
    approved_hash = EXCLUDED.approved_hash, approved_definition = EXCLUDED.approved_definition,
    approved_findings = EXCLUDED.approved_findings, approved_at = EXCLUDED.approved_at,
    approved_by = EXCLUDED.approved_by, pending_hash = EXCLUDED.pending_hash,
    pending_definition = EXCLUDED.pending_definition, pending_findings = EXCLUDED.pending_findings,
    pending_at = EXCLUDED.pending_at, pending_reason = EXCLUDED.pending_reason, released_at = EXCLUDED.released_at

-- name: mark_listed
UPDATE tool_pins SET listed = NOT listed WHERE server_id = $1 AND listed <> (tool_name = ANY ($2::text[]))

-- name: count_events
UPDATE server_pins SET stream_version = $2 WHERE server_id = $1
