-- migrate:up

-- The schedule triggers of active workflows, written in the transaction that activates, revises or archives one. A row
-- stays as long as its workflow is active with a trigger of that expression and zone (`nth` of several that are alike).
-- `next_fire_at` is how far it has fired: it moves on once the start of a run is durable. NULL: it comes no more.
CREATE TABLE workflow.schedules (
    tenant_id    uuid NOT NULL,
    workflow_id  uuid NOT NULL,
    cron         text NOT NULL,
    timezone     text NOT NULL,
    nth          integer NOT NULL,
    next_fire_at timestamptz,
    PRIMARY KEY (workflow_id, cron, timezone, nth)
);
SELECT platform.protect_table('workflow', 'schedules', 'SELECT, INSERT, DELETE', 'SELECT, UPDATE');
CREATE INDEX schedules_due ON workflow.schedules (next_fire_at) WHERE next_fire_at IS NOT NULL;

-- The webhook triggers of workflows. Address and key of one are derived from its id, so that nothing secret is stored.
-- Until `previous_until` the key of the version before `key_version` is good as well.
CREATE TABLE workflow.webhooks (
    tenant_id      uuid NOT NULL,
    workflow_id    uuid NOT NULL,
    name           text NOT NULL,
    id             uuid NOT NULL UNIQUE,
    key_version    integer NOT NULL DEFAULT 1,
    previous_until timestamptz,
    created_at     timestamptz NOT NULL,
    rotated_at     timestamptz,
    PRIMARY KEY (workflow_id, name)
);
SELECT platform.protect_table('workflow', 'webhooks', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');

-- migrate:down

DROP TABLE workflow.webhooks, workflow.schedules;
