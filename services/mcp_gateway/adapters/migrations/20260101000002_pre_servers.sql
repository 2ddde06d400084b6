-- migrate:up

-- The registry. A row is written in the transaction of its events, so that reads are never stale and a slug cannot be
-- taken twice.
CREATE TABLE mcp_gateway.servers (
    tenant_id      uuid NOT NULL,
    id             uuid PRIMARY KEY,
    slug           text NOT NULL,
    stream_version integer NOT NULL,
    definition     jsonb NOT NULL,
    status         text NOT NULL,
    revision       integer NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT servers_slug UNIQUE (tenant_id, slug)
);
SELECT platform.protect_table('mcp_gateway', 'servers', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');

-- What was last seen of a server: not facts that anything is decided on, so they are overwritten without events.
CREATE TABLE mcp_gateway.server_health (
    tenant_id     uuid NOT NULL,
    server_id     uuid PRIMARY KEY REFERENCES mcp_gateway.servers (id) ON DELETE CASCADE,
    health_status text NOT NULL DEFAULT 'unknown',
    checked_at    timestamptz,
    latency_ms    double precision,
    error_message text,
    tools         jsonb NOT NULL DEFAULT '[]'
);
SELECT platform.protect_table('mcp_gateway', 'server_health', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, INSERT, UPDATE, DELETE');

-- One row a call, beside its events, which hold the arguments and the result.
CREATE TABLE mcp_gateway.tool_executions (
    tenant_id       uuid NOT NULL,
    id              uuid PRIMARY KEY,
    server_id       uuid NOT NULL,
    tool_name       text NOT NULL,
    agent_id        uuid,
    conversation_id uuid,
    status          text NOT NULL,
    error_code      text,
    error_message   text,
    duration_ms     double precision,
    response_ms     double precision,
    attempt         integer NOT NULL,
    parent_id       uuid,
    started_at      timestamptz NOT NULL,
    completed_at    timestamptz
) WITH (fillfactor = 90);
SELECT platform.protect_table('mcp_gateway', 'tool_executions', 'SELECT', 'SELECT, INSERT, UPDATE');
CREATE INDEX tool_executions_by_tenant ON mcp_gateway.tool_executions (tenant_id, started_at DESC, id DESC);
CREATE INDEX tool_executions_by_server ON mcp_gateway.tool_executions (server_id, started_at DESC, id DESC);

CREATE TABLE mcp_gateway.server_counters (
    tenant_id  uuid NOT NULL,
    server_id  uuid PRIMARY KEY,
    total      bigint NOT NULL DEFAULT 0,
    successful bigint NOT NULL DEFAULT 0,
    failed     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
SELECT platform.protect_table('mcp_gateway', 'server_counters', 'SELECT', 'SELECT, INSERT, UPDATE');

-- One batch of calls: their events, the rows of their history, and the counters of their servers. The append takes the
-- log's lock first, so batches of several replicas follow one another and cannot deadlock on the counters.
CREATE FUNCTION mcp_gateway.record_calls(
    tenant_ids uuid[], stream_ids uuid[], versions integer[], types text[], datas bytea[], metas bytea[],
    row_tenants uuid[], row_ids uuid[], row_servers uuid[], row_tools text[], row_agents uuid[],
    row_conversations uuid[], row_statuses text[], row_codes text[], row_messages text[],
    row_durations double precision[], row_responses double precision[], row_attempts integer[], row_parents uuid[],
    row_starts timestamptz[], row_ends timestamptz[]
) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    last_position bigint;
BEGIN
    last_position := platform.append_events(tenant_ids, stream_ids, versions, types, datas, metas);
    INSERT INTO tool_executions (tenant_id, id, server_id, tool_name, agent_id, conversation_id, status, error_code,
                                 error_message, duration_ms, response_ms, attempt, parent_id, started_at, completed_at)
    SELECT * FROM unnest(row_tenants, row_ids, row_servers, row_tools, row_agents, row_conversations, row_statuses,
                         row_codes, row_messages, row_durations, row_responses, row_attempts, row_parents, row_starts,
                         row_ends)
    ON CONFLICT (id) DO UPDATE
    SET status = EXCLUDED.status, error_code = EXCLUDED.error_code, error_message = EXCLUDED.error_message,
        duration_ms = EXCLUDED.duration_ms, response_ms = EXCLUDED.response_ms, completed_at = EXCLUDED.completed_at;
    INSERT INTO server_counters AS c (tenant_id, server_id, total, successful, failed)
    SELECT tenant_id, server_id, count(*), count(*) FILTER (WHERE status = 'completed'),
           count(*) FILTER (WHERE status = 'failed')
    FROM unnest(row_tenants, row_servers, row_statuses) AS r (tenant_id, server_id, status)
    WHERE status IN ('completed', 'failed')
    GROUP BY tenant_id, server_id
    ON CONFLICT (server_id) DO UPDATE
    SET total = c.total + EXCLUDED.total, successful = c.successful + EXCLUDED.successful,
        failed = c.failed + EXCLUDED.failed;
    RETURN last_position;
END $$;
REVOKE ALL ON FUNCTION mcp_gateway.record_calls FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mcp_gateway.record_calls TO agentic_mcp_gateway_worker;

-- migrate:down

DROP FUNCTION mcp_gateway.record_calls;
DROP TABLE mcp_gateway.server_counters, mcp_gateway.tool_executions, mcp_gateway.server_health, mcp_gateway.servers;
