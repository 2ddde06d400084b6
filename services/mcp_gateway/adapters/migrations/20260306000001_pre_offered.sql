-- migrate:up

-- What was last seen of a server beside its tools: URIs of resources and names of prompts.
ALTER TABLE mcp_gateway.server_health
    ADD COLUMN resources jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN prompts jsonb NOT NULL DEFAULT '[]';

-- Calls that run are few, and looked for among all that ever were.
CREATE INDEX tool_executions_running ON mcp_gateway.tool_executions (started_at) WHERE status = 'running';

-- migrate:down

DROP INDEX mcp_gateway.tool_executions_running;

ALTER TABLE mcp_gateway.server_health DROP COLUMN prompts, DROP COLUMN resources;
