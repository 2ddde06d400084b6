-- migrate:up

-- The log in partitions by range of stream_id. An execution's id begins with the millisecond in which it was made
-- (UUIDv7), so a partition holds the executions of a period, whole, and is dropped when all of them are archived.
--   events_p<from>   executions made in a period [from, to)
--   events_other     ids that are no time: derived ones (UUIDv5, their first bit is set) and whatever was made up
--   events_default   the catch-all: what no period was made for in time. Nearly empty, so that making one is quick.

-- The id that begins a moment: every UUIDv7 made at it or later is as great, every one made before is less.
CREATE FUNCTION workflow.id_from(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid $$;

ALTER TABLE workflow.events RENAME TO events_before;
ALTER TABLE workflow.events_before RENAME CONSTRAINT events_stream_version TO events_before_stream_version;

CREATE TABLE workflow.events (
    position    bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id   uuid NOT NULL,
    stream_id   uuid NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    type        text NOT NULL,
    data        bytea NOT NULL,
    meta        bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT events_stream_version UNIQUE (stream_id, version)
) PARTITION BY RANGE (stream_id);
-- Not unique, as a partitioned table has no unique key without its partition key: the identity gives no position twice.
CREATE INDEX events_position ON workflow.events (position);
SELECT platform.protect_table('workflow', 'events', 'SELECT, INSERT', 'SELECT, INSERT');
-- The functions below run as the owner, who is bound by the policies as everybody else is.
CREATE POLICY housekeeping ON workflow.events TO CURRENT_USER USING (true) WITH CHECK (true);

-- Makes a table of the log's shape, to be attached: that lets appends go on, where CREATE … PARTITION OF would not.
-- It has the log's policies and no grant: the log's own hold for whoever comes through the log, and nobody else comes.
CREATE FUNCTION workflow.make_events(part text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = workflow, platform, pg_temp
AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS, '
                   'CONSTRAINT %I UNIQUE (stream_id, version))', part, 'events_stream_version_' || part);
    EXECUTE format('CREATE INDEX %I ON %I (position)', part || '_position', part);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('CREATE POLICY one_tenant ON %I TO agentic_workflow USING (tenant_id = platform.current_tenant()) '
                   'WITH CHECK (tenant_id = platform.current_tenant())', part);
    EXECUTE format('CREATE POLICY all_tenants ON %I TO agentic_workflow_worker USING (true) WITH CHECK (true)', part);
    EXECUTE format('CREATE POLICY housekeeping ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', part);
END $$;
REVOKE ALL ON FUNCTION workflow.make_events FROM PUBLIC;

-- The periods, oldest first, with their size in bytes.
CREATE FUNCTION workflow.event_periods()
RETURNS TABLE (part text, from_id uuid, to_id uuid, bytes bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = workflow, platform, pg_temp
AS $$
    SELECT c.relname::text, (regexp_match(b.bounds, 'FROM \(''([^'']+)''\)'))[1]::uuid,
           (regexp_match(b.bounds, 'TO \(''([^'']+)''\)'))[1]::uuid, pg_total_relation_size(c.oid)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
         LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds) b
    WHERE i.inhparent = 'workflow.events'::regclass AND c.relname LIKE 'events\_p%'
    ORDER BY 2
$$;
REVOKE ALL ON FUNCTION workflow.event_periods FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflow.event_periods TO agentic_workflow_worker;

-- Makes the period [begins, ends). What the catch-all has of it moves in, so that it never keeps a period from being
-- made. False, and nothing is done, if it overlaps another or more than `most_rows` events would have to move.
CREATE FUNCTION workflow.make_event_period(begins timestamptz, ends timestamptz, most_rows integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = workflow, platform, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    part text := 'events_p' || to_char(begins AT TIME ZONE 'UTC', 'YYYYMMDD');
    low uuid := workflow.id_from(begins);
    high uuid := workflow.id_from(ends);
    found_rows bigint;
BEGIN
    IF low >= high OR EXISTS (SELECT 1 FROM workflow.event_periods() p WHERE p.from_id < high AND p.to_id > low) THEN
        RETURN false;
    END IF;
    SELECT count(*) INTO found_rows
    FROM (SELECT 1 FROM events_default d WHERE d.stream_id >= low AND d.stream_id < high LIMIT most_rows + 1) s;
    IF found_rows > most_rows THEN
        RETURN false;
    END IF;
    PERFORM workflow.make_events(part);
    IF found_rows > 0 THEN
        -- The log first: a reader that already knows its partitions would not find the events in the new one.
        LOCK TABLE ONLY events IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM events_default WHERE stream_id >= $1 AND stream_id < $2 RETURNING *) '
                       'INSERT INTO %I SELECT * FROM moved', part) USING low, high;
    END IF;
    EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, low, high);
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION workflow.make_event_period FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflow.make_event_period TO agentic_workflow_worker;

-- The first 48 bits of these are no millisecond before the year 2039.
SELECT workflow.make_events('events_other'), workflow.make_events('events_default');
ALTER TABLE workflow.events ATTACH PARTITION workflow.events_other
    FOR VALUES FROM ('02000000-0000-0000-0000-000000000000') TO (MAXVALUE);
ALTER TABLE workflow.events ATTACH PARTITION workflow.events_default DEFAULT;
SELECT workflow.make_event_period(date_trunc('day', now(), 'UTC') - interval '28 days',
                                  date_trunc('day', now(), 'UTC') + interval '2 days', 0);

INSERT INTO workflow.events (position, tenant_id, stream_id, version, type, data, meta, recorded_at)
OVERRIDING SYSTEM VALUE
SELECT position, tenant_id, stream_id, version, type, data, meta, recorded_at FROM workflow.events_before;
SELECT setval(pg_get_serial_sequence('workflow.events', 'position'),
              coalesce((SELECT max(position) FROM workflow.events_before), 1),
              EXISTS (SELECT 1 FROM workflow.events_before));
DROP TABLE workflow.events_before;

-- migrate:down

CREATE TABLE workflow.events_before (LIKE workflow.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO workflow.events_before SELECT * FROM workflow.events;
DROP TABLE workflow.events;
ALTER TABLE workflow.events_before RENAME TO events;
ALTER TABLE workflow.events ALTER COLUMN position ADD GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY (position),
    ADD CONSTRAINT events_stream_version UNIQUE (stream_id, version);
SELECT setval(pg_get_serial_sequence('workflow.events', 'position'),
              coalesce((SELECT max(position) FROM workflow.events), 1), EXISTS (SELECT 1 FROM workflow.events));
SELECT platform.protect_table('workflow', 'events', 'SELECT, INSERT', 'SELECT, INSERT');
DROP FUNCTION workflow.make_event_period, workflow.event_periods, workflow.make_events, workflow.id_from;
