-- migrate:up

-- The rules of using a server: one row for the whole tenant, for an agent, or for a profile. A row is written in the
-- transaction of its events, and goes with its server, whose removal writes an event for each.
ALTER TABLE mcp_gateway.servers ADD CONSTRAINT servers_of_tenant UNIQUE (tenant_id, id);

CREATE TABLE mcp_gateway.configs (
    tenant_id      uuid NOT NULL,
    id             uuid PRIMARY KEY,
    server_id      uuid NOT NULL,
    agent_id       uuid,
    profile        text,
    stream_version integer NOT NULL,
    definition     jsonb NOT NULL,
    revision       integer NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT configs_one UNIQUE NULLS NOT DISTINCT (tenant_id, server_id, agent_id, profile),
    CONSTRAINT configs_server FOREIGN KEY (tenant_id, server_id) REFERENCES mcp_gateway.servers (tenant_id, id)
);
SELECT platform.protect_table('mcp_gateway', 'configs', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');
CREATE INDEX configs_in_order ON mcp_gateway.configs (tenant_id, created_at, id);

-- migrate:down

DROP TABLE mcp_gateway.configs;
ALTER TABLE mcp_gateway.servers DROP CONSTRAINT servers_of_tenant;
