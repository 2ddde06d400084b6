-- migrate:up

-- A definition's own wish, readable without decoding it. Null: the tenant's policy, then the platform's.
CREATE FUNCTION workflow.retention_days_of(definition bytea) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (convert_from(definition, 'UTF8')::json ->> 'retention_days')::integer $$;
ALTER TABLE workflow.workflows
    ADD COLUMN retention_days integer GENERATED ALWAYS AS (workflow.retention_days_of(definition)) STORED;

-- How many days after its end an execution is kept, where a tenant's administrators said so: for one workflow, or
-- (workflow_id null) for all that say nothing themselves.
CREATE TABLE workflow.retention_policies (
    tenant_id   uuid NOT NULL,
    workflow_id uuid,
    days        integer NOT NULL CHECK (days BETWEEN 1 AND 3650),
    updated_by  text NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT retention_policies_one UNIQUE NULLS NOT DISTINCT (tenant_id, workflow_id)
);
SELECT platform.protect_table('workflow', 'retention_policies', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');

-- One object of the archive: planned before it is written, so that whoever comes after a crash writes the same one.
CREATE TABLE workflow.archive_objects (
    tenant_id   uuid NOT NULL,
    id          uuid PRIMARY KEY,
    key         text NOT NULL UNIQUE,
    planned     uuid[] NOT NULL,
    planned_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    archived_at timestamptz,
    executions  integer NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    sha256      bytea
);
SELECT platform.protect_table('workflow', 'archive_objects', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');
CREATE INDEX archive_objects_planned ON workflow.archive_objects (id) WHERE archived_at IS NULL;
CREATE INDEX archive_objects_by_tenant ON workflow.archive_objects (tenant_id);

-- Where an archived execution lies: the gzip member of `length` bytes at `start` of the object, and its line in it.
CREATE TABLE workflow.archived_executions (
    tenant_id         uuid NOT NULL,
    id                uuid PRIMARY KEY,
    workflow_id       uuid NOT NULL,
    object_id         uuid NOT NULL REFERENCES workflow.archive_objects,
    started_at        timestamptz NOT NULL,
    completed_at      timestamptz NOT NULL,
    start             bigint NOT NULL,
    length            integer NOT NULL,
    line              integer NOT NULL,
    workflow_revision integer NOT NULL,
    version           integer NOT NULL,
    status            text NOT NULL
);
SELECT platform.protect_table('workflow', 'archived_executions', 'SELECT', 'SELECT, INSERT');

-- What archived executions add to workflow_counters, workflow_periods and workflow_durations: a rebuild begins with it.
CREATE TABLE workflow.archived_counts (
    tenant_id         uuid NOT NULL,
    workflow_id       uuid PRIMARY KEY,
    execution_count   bigint NOT NULL,
    success_count     bigint NOT NULL,
    failure_count     bigint NOT NULL,
    total_duration_ms double precision NOT NULL
);
SELECT platform.protect_table('workflow', 'archived_counts', 'SELECT', 'SELECT, INSERT, UPDATE');
CREATE TABLE workflow.archived_periods (LIKE workflow.workflow_periods INCLUDING CONSTRAINTS INCLUDING INDEXES);
SELECT platform.protect_table('workflow', 'archived_periods', 'SELECT', 'SELECT, INSERT, UPDATE');
CREATE TABLE workflow.archived_durations (LIKE workflow.workflow_durations INCLUDING CONSTRAINTS INCLUDING INDEXES);
SELECT platform.protect_table('workflow', 'archived_durations', 'SELECT', 'SELECT, INSERT, UPDATE');

GRANT DELETE ON workflow.executions, workflow.execution_attributes TO agentic_workflow_worker;
-- Rows that go by DELETE and not with their partition: vacuum comes after 1 %, not after 20.
ALTER TABLE workflow.executions SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
ALTER TABLE workflow.execution_attributes
    SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
ALTER TABLE workflow.events_other SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
ALTER TABLE workflow.events_default SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);

-- An archived execution has no row, so whatever is written of it inserts one. Refused as a version that is taken is:
-- a start that comes again after a year starts nothing, and a retry that met the archiver writes nothing.
CREATE FUNCTION workflow.refuse_archived() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    -- An array and no join: the index is used whatever the planner believes of how much is archived.
    IF EXISTS (SELECT 1 FROM workflow.archived_executions WHERE id = ANY (ARRAY(SELECT id FROM inserted))) THEN
        RAISE unique_violation USING MESSAGE = 'an execution of these is archived',
            SCHEMA = 'workflow', TABLE = 'archived_executions', CONSTRAINT = 'archived_executions_pkey';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse_archived AFTER INSERT ON workflow.executions REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION workflow.refuse_archived();

-- Deletes the events of archived executions where no period holds them. Of any other execution it deletes nothing.
CREATE FUNCTION workflow.delete_unplaced_events(ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = workflow, platform, pg_temp
AS $$
    DELETE FROM events_other WHERE stream_id IN (
        SELECT id FROM archived_executions WHERE id = ANY(ids) AND id >= '02000000-0000-0000-0000-000000000000');
    DELETE FROM events_default WHERE stream_id IN (SELECT id FROM archived_executions WHERE id = ANY(ids));
$$;

-- Deletes the events of the next `streams` archived executions of a period, by id; returns the last id, null at the end.
CREATE FUNCTION workflow.purge_period(after_id uuid, to_id uuid, streams integer) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = workflow, platform, pg_temp
AS $$
DECLARE
    ids uuid[];
BEGIN
    ids := ARRAY(SELECT a.id FROM archived_executions a WHERE a.id > after_id AND a.id < to_id
                 ORDER BY a.id LIMIT streams);
    DELETE FROM events WHERE stream_id = ANY(ids);
    RETURN ids[cardinality(ids)];
END $$;

-- The streams of a period that are not archived: executions that still run or are kept longer, definitions. At most
-- `most`. It takes no lock that anybody waits for, and looks through an index of the whole partition.
CREATE FUNCTION workflow.event_survivors(part text, most integer) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = workflow, platform, pg_temp
AS $$
DECLARE
    ids uuid[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM workflow.event_periods() p WHERE p.part = event_survivors.part) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT ARRAY(SELECT stream_id FROM %I e WHERE version = 1 AND NOT EXISTS '
                   '(SELECT 1 FROM archived_executions a WHERE a.id = e.stream_id) LIMIT $1)', part)
        INTO ids USING most;
    RETURN ids;
END $$;

-- Drops a period, and with it the events of its archived executions. The survivors, as found when the log had reached
-- `upto`, and whatever came since move to the catch-all first. Returns how many moved; null, and nothing is done, if
-- that would be more than `most_rows` events, or the period ended less than a day ago.
CREATE FUNCTION workflow.drop_event_period(part text, survivors uuid[], upto bigint, most_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = workflow, platform, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    ids uuid[];
    found_rows bigint;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM workflow.event_periods() p
                   WHERE p.part = drop_event_period.part AND p.to_id < workflow.id_from(now() - interval '1 day')) THEN
        RETURN NULL;
    END IF;
    -- Nothing is written to this partition from here on; appends to the others go on until it is detached.
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', part);
    EXECUTE format('SELECT ARRAY(SELECT unnest($1) UNION SELECT stream_id FROM %I e WHERE position > $2 AND NOT EXISTS '
                   '(SELECT 1 FROM archived_executions a WHERE a.id = e.stream_id))', part)
        INTO ids USING survivors, upto;
    EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM %I WHERE stream_id = ANY($1) LIMIT $2) s', part)
        INTO found_rows USING ids, most_rows + 1;
    IF found_rows > most_rows THEN
        RETURN NULL;
    END IF;
    EXECUTE format('ALTER TABLE events DETACH PARTITION %I', part);
    EXECUTE format('INSERT INTO events OVERRIDING SYSTEM VALUE SELECT * FROM %I WHERE stream_id = ANY($1)', part)
        USING ids;
    EXECUTE format('DROP TABLE %I', part);
    RETURN cardinality(ids);
END $$;

REVOKE ALL ON FUNCTION workflow.delete_unplaced_events, workflow.purge_period, workflow.event_survivors,
    workflow.drop_event_period FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflow.delete_unplaced_events, workflow.purge_period, workflow.event_survivors,
    workflow.drop_event_period TO agentic_workflow_worker;
-- The functions above run as the owner, whom the policies bind, too.
CREATE POLICY housekeeping ON workflow.archived_executions FOR SELECT TO CURRENT_USER USING (true);

-- migrate:down

DROP FUNCTION workflow.drop_event_period, workflow.event_survivors, workflow.purge_period,
    workflow.delete_unplaced_events;
DROP TRIGGER refuse_archived ON workflow.executions;
DROP FUNCTION workflow.refuse_archived;
REVOKE DELETE ON workflow.executions, workflow.execution_attributes FROM agentic_workflow_worker;
ALTER TABLE workflow.execution_attributes RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE workflow.executions RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
DROP TABLE workflow.archived_durations, workflow.archived_periods, workflow.archived_counts, workflow.archived_executions, workflow.archive_objects,
    workflow.retention_policies;
ALTER TABLE workflow.workflows DROP COLUMN retention_days;
DROP FUNCTION workflow.retention_days_of;
