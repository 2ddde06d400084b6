-- migrate:up

-- What every service's schema holds beside its own tables. One definition, called by the first migration of each
-- service, so that a policy or a grant cannot be forgotten in one of them.
-- The caller is the owner of the schema. Roles: agentic_<service> answers requests and sees one tenant at a time;
-- agentic_<service>_worker works through the queues of all tenants and answers no request.
-- Neither may change or delete an event.

CREATE FUNCTION platform.current_tenant() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;

-- Tenant isolation for one table with a tenant_id column, and the grants of the two roles.
CREATE FUNCTION platform.protect_table(service text, table_name text, serving text, working text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    role_serving text := 'agentic_' || service;
    role_working text := 'agentic_' || service || '_worker';
BEGIN
    EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', service, table_name);
    EXECUTE format('ALTER TABLE %I.%I FORCE ROW LEVEL SECURITY', service, table_name);
    EXECUTE format(
        'CREATE POLICY one_tenant ON %I.%I TO %I USING (tenant_id = platform.current_tenant()) '
        'WITH CHECK (tenant_id = platform.current_tenant())', service, table_name, role_serving);
    EXECUTE format('CREATE POLICY all_tenants ON %I.%I TO %I USING (true) WITH CHECK (true)',
                   service, table_name, role_working);
    EXECUTE format('GRANT %s ON %I.%I TO %I', serving, service, table_name, role_serving);
    EXECUTE format('GRANT %s ON %I.%I TO %I', working, service, table_name, role_working);
END $$;

CREATE FUNCTION platform.create_event_store(service text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    role_serving text := 'agentic_' || service;
    role_working text := 'agentic_' || service || '_worker';
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', service, role_serving, role_working);

    EXECUTE format($sql$
        CREATE TABLE %I.events (
            position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            tenant_id   uuid NOT NULL,
            stream_id   uuid NOT NULL,
            version     integer NOT NULL CHECK (version > 0),
            type        text NOT NULL,
            data        bytea NOT NULL,
            meta        bytea NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT events_stream_version UNIQUE (stream_id, version)
        )$sql$, service);
    PERFORM platform.protect_table(service, 'events', 'SELECT, INSERT', 'SELECT, INSERT');

    EXECUTE format($sql$
        CREATE TABLE %I.snapshots (
            tenant_id uuid NOT NULL,
            stream_id uuid PRIMARY KEY,
            version   integer NOT NULL,
            state     bytea NOT NULL
        )$sql$, service);
    PERFORM platform.protect_table(service, 'snapshots', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');

    -- Answers to requests that carried an Idempotency-Key.
    EXECUTE format($sql$
        CREATE TABLE %I.idempotency_keys (
            tenant_id    uuid NOT NULL,
            key          text NOT NULL,
            request_hash bytea NOT NULL,
            resource_id  uuid NOT NULL,
            status       integer NOT NULL,
            body         bytea NOT NULL,
            headers      jsonb NOT NULL,
            created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (tenant_id, key)
        )$sql$, service);
    PERFORM platform.protect_table(service, 'idempotency_keys', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, DELETE');

    -- How far the relay and each projection have read. Not a tenant's data.
    EXECUTE format($sql$
        CREATE TABLE %I.checkpoints (
            name       text PRIMARY KEY,
            position   bigint NOT NULL,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )$sql$, service);
    EXECUTE format('GRANT SELECT ON %I.checkpoints TO %I', service, role_serving);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.checkpoints TO %I', service, role_working);
END $$;

-- Appends to `events` of the caller's schema (its search_path) and returns the position of the last one; the others
-- hold the positions just below, in the order given. The lock is held until commit, so positions become visible in
-- their order and whoever reads by position misses none. A version that exists raises unique_violation and nothing
-- is written.
CREATE FUNCTION platform.append_events(
    tenant_ids uuid[], stream_ids uuid[], versions integer[], types text[], datas bytea[], metas bytea[]
) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    last_position bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('agentic.events'), hashtext(current_schema()));
    WITH appended AS (
        INSERT INTO events (tenant_id, stream_id, version, type, data, meta)
        SELECT * FROM unnest(tenant_ids, stream_ids, versions, types, datas, metas)
        RETURNING position
    )
    SELECT max(position) INTO last_position FROM appended;
    RETURN last_position;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA platform FROM PUBLIC;
GRANT USAGE ON SCHEMA platform TO PUBLIC;
GRANT EXECUTE ON FUNCTION platform.current_tenant() TO PUBLIC;
GRANT EXECUTE ON FUNCTION platform.append_events(uuid[], uuid[], integer[], text[], bytea[], bytea[]) TO PUBLIC;

-- migrate:down

DROP SCHEMA platform CASCADE;
