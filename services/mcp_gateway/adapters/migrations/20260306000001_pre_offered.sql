-- migrate:up

-- What was last seen of a server beside its tools: URIs of resources and names of prompts.
ALTER TABLE mcp_gateway.server_health
    ADD COLUMN resources jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN prompts jsonb NOT NULL DEFAULT '[]';

-- migrate:down

ALTER TABLE mcp_gateway.server_health DROP COLUMN prompts, DROP COLUMN resources;
