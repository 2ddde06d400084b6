-- migrate:up

-- Which workflows are tools, as the workflow service tells it: a copy, that can be made anew at any time. What was heard
-- last of the definition (`tool` is NULL if that exposes nothing) and of the status each has the version of its event,
-- since events come late, twice and out of order. A row stays when its workflow is gone, so that an event that is late
-- does not bring it back. `position` is the last place in the workflow service's log that the row knows of.
CREATE TABLE mcp_gateway.exposed_workflows (
    tenant_id      uuid NOT NULL,
    workflow_id    uuid NOT NULL,
    tool           bytea,
    tool_version   integer NOT NULL,
    status         text NOT NULL,
    status_version integer NOT NULL,
    position       bigint NOT NULL,
    PRIMARY KEY (tenant_id, workflow_id)
);
SELECT platform.protect_table('mcp_gateway', 'exposed_workflows', 'SELECT', 'SELECT, INSERT, UPDATE');
CREATE INDEX exposed_workflows_listed ON mcp_gateway.exposed_workflows (tenant_id)
    WHERE tool IS NOT NULL AND status = 'active';

-- migrate:down

DROP TABLE mcp_gateway.exposed_workflows;
