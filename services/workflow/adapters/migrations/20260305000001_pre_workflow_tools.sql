-- migrate:up

-- The tool that MCP clients find a workflow as, unless it is archived: a tenant has no two of one name.
ALTER TABLE workflow.workflows ADD COLUMN tool_name text;
CREATE UNIQUE INDEX workflows_tool_name ON workflow.workflows (tenant_id, tool_name) WHERE tool_name IS NOT NULL;
CREATE INDEX workflows_offered ON workflow.workflows (id) WHERE tool_name IS NOT NULL AND status = 'active';

-- migrate:down

DROP INDEX workflow.workflows_offered, workflow.workflows_tool_name;
ALTER TABLE workflow.workflows DROP COLUMN tool_name;
