-- migrate:up

-- What an execution is found by, beside what it is.
ALTER TABLE workflow.executions
    ADD COLUMN trigger text NOT NULL DEFAULT 'unknown',
    ADD COLUMN error_code text,
    ADD COLUMN labels bytea,
    -- Lists merge one stretch of an index for each of these: a status that is not among them would be in no list.
    ADD CONSTRAINT executions_status CHECK (
        status IN ('pending', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled'));

-- Both serve lists of one status, of several and of all, so that a status needs no index of its own.
CREATE INDEX executions_by_status ON workflow.executions (tenant_id, status, started_at DESC, id DESC);
CREATE INDEX executions_of_workflow ON workflow.executions (tenant_id, workflow_id, status, started_at DESC, id DESC);
CREATE INDEX executions_by_end ON workflow.executions (tenant_id, completed_at DESC, id DESC)
    WHERE completed_at IS NOT NULL;
DROP INDEX workflow.executions_by_tenant;
DROP INDEX workflow.executions_by_workflow;

-- One row for each attribute (and, named '#', each tag) of an execution. The key is the only index: a list by an
-- attribute is a stretch of it.
CREATE TABLE workflow.execution_attributes (
    tenant_id    uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    value        text COLLATE "C" NOT NULL,
    started_at   timestamptz NOT NULL,
    execution_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, name, value, started_at, execution_id)
);
SELECT platform.protect_table('workflow', 'execution_attributes', 'SELECT', 'SELECT, INSERT');

-- As the function of fourteen arguments, which a process of the release before still calls, with what lists show.
CREATE FUNCTION workflow.record_transitions(
    tenant_ids uuid[], stream_ids uuid[], versions integer[], types text[], datas bytea[], metas bytea[],
    row_tenants uuid[], row_ids uuid[], row_workflows uuid[], row_revisions integer[], row_statuses text[],
    row_starts timestamptz[], row_ends timestamptz[], row_versions integer[], row_triggers text[], row_errors text[],
    row_labels bytea[],
    label_tenants uuid[], label_names text[], label_values text[], label_starts timestamptz[], label_ids uuid[]
) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    last_position bigint;
BEGIN
    last_position := platform.append_events(tenant_ids, stream_ids, versions, types, datas, metas);
    IF cardinality(row_ids) > 0 THEN
        INSERT INTO executions (tenant_id, id, workflow_id, workflow_revision, status, started_at, completed_at,
                                version, trigger, error_code, labels)
        SELECT * FROM unnest(row_tenants, row_ids, row_workflows, row_revisions, row_statuses, row_starts, row_ends,
                             row_versions, row_triggers, row_errors, row_labels)
        ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, completed_at = EXCLUDED.completed_at,
                                       version = EXCLUDED.version, error_code = EXCLUDED.error_code;
    END IF;
    IF cardinality(label_ids) > 0 THEN
        INSERT INTO execution_attributes (tenant_id, name, value, started_at, execution_id)
        SELECT * FROM unnest(label_tenants, label_names, label_values, label_starts, label_ids);
    END IF;
    RETURN last_position;
END $$;
REVOKE ALL ON FUNCTION workflow.record_transitions(
    uuid[], uuid[], integer[], text[], bytea[], bytea[], uuid[], uuid[], uuid[], integer[], text[], timestamptz[],
    timestamptz[], integer[], text[], text[], bytea[], uuid[], text[], text[], timestamptz[], uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflow.record_transitions(
    uuid[], uuid[], integer[], text[], bytea[], bytea[], uuid[], uuid[], uuid[], integer[], text[], timestamptz[],
    timestamptz[], integer[], text[], text[], bytea[], uuid[], text[], text[], timestamptz[], uuid[])
    TO agentic_workflow_worker;

-- What happened to a workflow's executions in an hour or a day (UTC), each counted when it happened.
CREATE TABLE workflow.workflow_periods (
    tenant_id   uuid NOT NULL,
    workflow_id uuid NOT NULL,
    period      text NOT NULL CHECK (period IN ('hour', 'day')),
    starts_at   timestamptz NOT NULL,
    started     bigint NOT NULL,
    completed   bigint NOT NULL,
    failed      bigint NOT NULL,
    cancelled   bigint NOT NULL,
    PRIMARY KEY (tenant_id, period, starts_at, workflow_id)
);
SELECT platform.protect_table('workflow', 'workflow_periods', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');

-- Their durations, counted by bucket: buckets of the same number add up, over periods and workflows.
CREATE TABLE workflow.workflow_durations (
    tenant_id   uuid NOT NULL,
    workflow_id uuid NOT NULL,
    period      text NOT NULL CHECK (period IN ('hour', 'day')),
    starts_at   timestamptz NOT NULL,
    bucket      smallint NOT NULL,
    runs        bigint NOT NULL,
    PRIMARY KEY (tenant_id, period, starts_at, workflow_id, bucket)
);
SELECT platform.protect_table('workflow', 'workflow_durations', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');

-- The projection has more tables to fill: it begins anew from the first event.
TRUNCATE workflow.workflow_counters;
DELETE FROM workflow.checkpoints WHERE name = 'workflow_counters';

-- Steps that wait for a person or for an event, and how that ended.
CREATE TABLE workflow.waits (
    tenant_id    uuid NOT NULL,
    id           uuid PRIMARY KEY,
    execution_id uuid NOT NULL,
    workflow_id  uuid NOT NULL,
    path         text NOT NULL,
    kind         text NOT NULL,
    name         text NOT NULL,
    assignees    text[] NOT NULL,
    details      bytea NOT NULL,
    since        timestamptz NOT NULL,
    deadline     timestamptz,
    ended_at     timestamptz,
    outcome      text,
    ended_by     text,
    answer       bytea
);
SELECT platform.protect_table('workflow', 'waits', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');
CREATE INDEX waits_by_tenant ON workflow.waits (tenant_id, since DESC, id DESC);
CREATE INDEX waits_open ON workflow.waits (tenant_id, since DESC, id DESC) WHERE ended_at IS NULL;

-- migrate:down

DROP TABLE workflow.waits, workflow.workflow_durations, workflow.workflow_periods;
DROP FUNCTION workflow.record_transitions(
    uuid[], uuid[], integer[], text[], bytea[], bytea[], uuid[], uuid[], uuid[], integer[], text[], timestamptz[],
    timestamptz[], integer[], text[], text[], bytea[], uuid[], text[], text[], timestamptz[], uuid[]);
DROP TABLE workflow.execution_attributes;
CREATE INDEX executions_by_tenant ON workflow.executions (tenant_id, started_at DESC, id DESC);
CREATE INDEX executions_by_workflow ON workflow.executions (workflow_id, started_at DESC, id DESC);
DROP INDEX workflow.executions_by_status, workflow.executions_of_workflow, workflow.executions_by_end;
ALTER TABLE workflow.executions
    DROP CONSTRAINT executions_status, DROP COLUMN trigger, DROP COLUMN error_code, DROP COLUMN labels;
