-- name: load
INSERT INTO workflow.executions (tenant_id, id, workflow_id, workflow_revision, status, started_at, completed_at,
                                 version, trigger, error_code, labels)
SELECT tenant_id, (lpad(to_hex((extract(epoch FROM started_at) * 1000)::bigint), 12, '0')
                   || '7' || substr(md5('execution' || n), 14))::uuid, workflow_id, 1, status, started_at,
       CASE WHEN status IN ('running', 'waiting') THEN NULL
            ELSE started_at + interval '1 millisecond' * (10 + exp(random() * 8)) END,
       CASE WHEN status = 'running' THEN 1 ELSE 12 END, trigger,
       CASE WHEN status = 'failed' THEN 'tool_failed' END,
       convert_to(json_build_object('attributes', json_build_object('customer', 'c-' || n % 10000, 'env',
                  CASE WHEN n % 5 = 0 THEN 'stage' ELSE 'prod' END, 'order', n),
                  'tags', CASE WHEN n % 20 = 0 THEN '["nightly"]'::json ELSE '[]'::json END)::text, 'UTF8')
FROM (
    SELECT n, CASE WHEN n % 10 < 7 THEN $1::uuid ELSE md5('tenant' || n % 10)::uuid END AS tenant_id,
           CASE WHEN n % 10 < 7 THEN ($4::uuid[])[1 + (n / 10) % cardinality($4::uuid[])]
                ELSE md5('workflow' || n % 10)::uuid END AS workflow_id,
           CASE WHEN n / 10 % 997 < 967 THEN 'completed' WHEN n / 10 % 997 < 987 THEN 'failed'
                WHEN n / 10 % 997 < 995 THEN 'cancelled' WHEN n / 10 % 997 = 995 THEN 'running' ELSE 'waiting' END
                AS status,
           CASE WHEN n % 100000 = 5 THEN 'hook' WHEN n / 10 % 13 < 12 THEN 'http' ELSE 'event' END AS trigger,
           timestamptz '2026-01-01' + interval '1 second' * n * 10 AS started_at
    FROM generate_series($2::bigint, $3::bigint) AS n
) made

-- name: load_attributes
INSERT INTO workflow.execution_attributes (tenant_id, name, value, started_at, execution_id)
SELECT e.tenant_id, l.name, l.value, e.started_at, e.id
FROM (SELECT *, convert_from(labels, 'UTF8')::jsonb AS found FROM workflow.executions) e,
     LATERAL (SELECT key, value FROM jsonb_each_text(found -> 'attributes')
              UNION ALL SELECT '#', value FROM jsonb_array_elements_text(found -> 'tags') AS t (value)) AS l (name, value)

-- name: settle
VACUUM (ANALYZE) workflow.executions, workflow.execution_attributes

-- name: sizes
SELECT relname, pg_relation_size(oid) AS bytes FROM pg_class
WHERE relnamespace = 'workflow'::regnamespace AND relname IN (
    'executions', 'executions_by_status', 'executions_of_workflow', 'executions_by_end', 'execution_attributes',
    'execution_attributes_pkey')
ORDER BY relname
