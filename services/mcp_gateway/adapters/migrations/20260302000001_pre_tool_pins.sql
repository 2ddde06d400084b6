-- migrate:up

-- Servers that have listed their tools. The row is locked while their pins change, and counts the events of that.
CREATE TABLE mcp_gateway.server_pins (
    tenant_id      uuid NOT NULL,
    server_id      uuid PRIMARY KEY REFERENCES mcp_gateway.servers (id) ON DELETE CASCADE,
    stream_version integer NOT NULL DEFAULT 0
);
SELECT platform.protect_table('mcp_gateway', 'server_pins', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');

-- What was approved of each tool and what waits for that, written with its events. Definitions and findings are JSON as
-- bytes: jsonb would refuse some of what servers may send, and change numbers. `listed` is what was last seen, no fact.
CREATE TABLE mcp_gateway.tool_pins (
    tenant_id           uuid NOT NULL,
    server_id           uuid NOT NULL REFERENCES mcp_gateway.server_pins (server_id) ON DELETE CASCADE,
    tool_name           text NOT NULL,
    status              text NOT NULL CHECK (status IN ('approved', 'quarantined')),
    listed              boolean NOT NULL,
    approved_hash       text,
    approved_definition bytea,
    approved_findings   bytea,
    approved_at         timestamptz,
    approved_by         text,
    pending_hash        text,
    pending_definition  bytea,
    pending_findings    bytea,
    pending_at          timestamptz,
    pending_reason      text,
    released_at         timestamptz,
    PRIMARY KEY (server_id, tool_name),
    CHECK (approved_hash IS NOT NULL OR pending_hash IS NOT NULL),
    CHECK ((status = 'quarantined') = (pending_hash IS NOT NULL))
);
SELECT platform.protect_table('mcp_gateway', 'tool_pins', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');

-- migrate:down

DROP TABLE mcp_gateway.tool_pins, mcp_gateway.server_pins;
