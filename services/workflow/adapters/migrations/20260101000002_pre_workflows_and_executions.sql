-- migrate:up

-- One row a definition and one a revision: written with the events they mirror, so that reads are never stale and
-- a slug cannot be taken twice.
CREATE TABLE workflow.workflows (
    tenant_id   uuid NOT NULL,
    id          uuid PRIMARY KEY,
    slug        text NOT NULL,
    name        text NOT NULL,
    description text NOT NULL,
    category    text NOT NULL,
    tags        text[] NOT NULL,
    version     text NOT NULL,
    revision    integer NOT NULL,
    status      text NOT NULL,
    definition  bytea NOT NULL,
    event_subjects text[] NOT NULL DEFAULT '{}',
    stream_version integer NOT NULL,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT workflows_slug UNIQUE (tenant_id, slug)
);
SELECT platform.protect_table('workflow', 'workflows', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');
CREATE INDEX workflows_by_trigger ON workflow.workflows (tenant_id)
    WHERE status = 'active' AND event_subjects <> '{}';

CREATE TABLE workflow.revisions (
    tenant_id   uuid NOT NULL,
    workflow_id uuid NOT NULL,
    revision    integer NOT NULL,
    definition  bytea NOT NULL,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, revision)
);
SELECT platform.protect_table('workflow', 'revisions', 'SELECT, INSERT', 'SELECT');

-- The status row of an execution, written in the same statement as its events.
CREATE TABLE workflow.executions (
    tenant_id         uuid NOT NULL,
    id                uuid PRIMARY KEY,
    workflow_id       uuid NOT NULL,
    workflow_revision integer NOT NULL,
    status            text NOT NULL,
    started_at        timestamptz NOT NULL,
    completed_at      timestamptz,
    version           integer NOT NULL
) WITH (fillfactor = 80);
SELECT platform.protect_table('workflow', 'executions', 'SELECT', 'SELECT, INSERT, UPDATE');
-- Ids that are derived from what started an execution are not in the order of time.
CREATE INDEX executions_by_tenant ON workflow.executions (tenant_id, started_at DESC, id DESC);
CREATE INDEX executions_by_workflow ON workflow.executions (workflow_id, started_at DESC, id DESC);
-- What an engine takes up again when it starts: few rows, whatever the size of the history.
CREATE INDEX executions_open ON workflow.executions (id) WHERE completed_at IS NULL;

-- Counters of a workflow, kept by a projection.
CREATE TABLE workflow.workflow_counters (
    tenant_id         uuid NOT NULL,
    workflow_id       uuid PRIMARY KEY,
    execution_count   bigint NOT NULL DEFAULT 0,
    success_count     bigint NOT NULL DEFAULT 0,
    failure_count     bigint NOT NULL DEFAULT 0,
    total_duration_ms double precision NOT NULL DEFAULT 0
);
SELECT platform.protect_table('workflow', 'workflow_counters', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');

-- One engine batch: its events, and the status rows of the executions that changed status.
CREATE FUNCTION workflow.record_transitions(
    tenant_ids uuid[], stream_ids uuid[], versions integer[], types text[], datas bytea[], metas bytea[],
    row_tenants uuid[], row_ids uuid[], row_workflows uuid[], row_revisions integer[], row_statuses text[],
    row_starts timestamptz[], row_ends timestamptz[], row_versions integer[]
) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    last_position bigint;
BEGIN
    last_position := platform.append_events(tenant_ids, stream_ids, versions, types, datas, metas);
    IF cardinality(row_ids) > 0 THEN
        INSERT INTO executions (tenant_id, id, workflow_id, workflow_revision, status, started_at, completed_at,
                                version)
        SELECT * FROM unnest(row_tenants, row_ids, row_workflows, row_revisions, row_statuses, row_starts, row_ends,
                             row_versions)
        ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, completed_at = EXCLUDED.completed_at,
                                       version = EXCLUDED.version;
    END IF;
    RETURN last_position;
END $$;
REVOKE ALL ON FUNCTION workflow.record_transitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflow.record_transitions TO agentic_workflow_worker;

-- migrate:down

DROP FUNCTION workflow.record_transitions;
DROP TABLE workflow.workflow_counters, workflow.executions, workflow.revisions, workflow.workflows;
