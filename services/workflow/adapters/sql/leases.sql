-- name: hold_session
SELECT pg_try_advisory_lock_shared(hashtext('agentic.engines'), hashtext($1::uuid::text))

-- name: renew
SELECT living, owned, owners FROM workflow.renew_engine($1, $2, $3)

-- name: claim
SELECT claimed, handed FROM workflow.claim_partitions($1, $2, $3)

-- name: release
SELECT workflow.release_partitions($1, $2)

-- name: leave
SELECT workflow.leave_engines($1)
