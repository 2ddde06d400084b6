-- name: periods
SELECT part, from_id, to_id, bytes FROM workflow.event_periods()

-- name: make
SELECT workflow.make_event_period($1, $2, $3)

-- name: shortest
SELECT least((SELECT min(days) FROM retention_policies), (SELECT min(retention_days) FROM workflows), $1::integer)

-- name: live_in
SELECT count(*) FROM (SELECT 1 FROM executions WHERE id >= $1 AND id < $2 LIMIT $3) e

-- name: archived_in
SELECT count(*) FROM (SELECT 1 FROM archived_executions WHERE id >= $1 AND id < $2 LIMIT $3) a

-- name: last_position
SELECT coalesce(max(position), 0) FROM events

-- name: survivors
SELECT workflow.event_survivors($1, $2)

-- name: drop
SELECT workflow.drop_event_period($1, $2, $3, $4)

-- name: purge
SELECT workflow.purge_period($1, $2, $3)
