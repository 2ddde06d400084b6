-- migrate:up

-- Which process decides which executions. A partition is an engine's for as long as that lives: its row here has not
-- run out, and the session that renews it holds an advisory lock, which Postgres gives back when the process dies.
CREATE TABLE workflow.engines (
    id         uuid PRIMARY KEY,
    instance   text NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE, DELETE ON workflow.engines TO agentic_workflow_worker;

-- `handed_at`: when a living engine gave it up for another one, having recorded and sent all that it had begun.
CREATE TABLE workflow.partitions (
    partition integer PRIMARY KEY,
    engine_id uuid,
    handed_at timestamptz
);
GRANT SELECT, UPDATE ON workflow.partitions TO agentic_workflow_worker;
INSERT INTO workflow.partitions SELECT partition FROM generate_series(0, 31) AS partition;

-- What the new owner of some partitions takes up. The expression is `shared.bus.tasks.partition_of`.
DROP INDEX workflow.executions_open;
CREATE INDEX executions_open ON workflow.executions ((get_byte(uuid_send(id), 15) & 31), id)
    WHERE completed_at IS NULL;

CREATE FUNCTION workflow.living_engines() RETURNS SETOF uuid
LANGUAGE sql VOLATILE
AS $$
    SELECT id FROM engines
    WHERE expires_at > clock_timestamp() AND EXISTS (
        SELECT FROM pg_locks AS held
        WHERE held.locktype = 'advisory' AND held.objsubid = 2 AND held.granted
          AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND held.classid::bigint = hashtext('agentic.engines')::bigint & 4294967295
          AND held.objid::bigint = hashtext(engines.id::text)::bigint & 4294967295)
$$;

-- One at a time looks, claims or releases, so that nobody renews what another one is just taking from it.
CREATE FUNCTION workflow.lock_partitions() RETURNS void
LANGUAGE sql VOLATILE
AS $$ SELECT pg_advisory_xact_lock(hashtext('agentic.partitions'), hashtext(current_schema())) $$;

-- Live for so many seconds more, and see who lives (oldest first) and what the living own.
CREATE FUNCTION workflow.renew_engine(self uuid, name text, seconds double precision)
RETURNS TABLE (living uuid[], owned integer[], owners uuid[])
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM lock_partitions();
    INSERT INTO engines VALUES (self, name, clock_timestamp() + make_interval(secs => seconds))
    ON CONFLICT (id) DO UPDATE SET expires_at = EXCLUDED.expires_at;
    RETURN QUERY
    WITH alive AS MATERIALIZED (SELECT living_engines() AS id),
         kept AS (SELECT p.partition, p.engine_id FROM partitions AS p JOIN alive ON alive.id = p.engine_id)
    SELECT (SELECT array_agg(id ORDER BY id) FROM alive),
           (SELECT array_agg(kept.partition ORDER BY kept.partition) FROM kept),
           (SELECT array_agg(kept.engine_id ORDER BY kept.partition) FROM kept);
END $$;

-- Take those of the wanted partitions that nobody alive owns. `handed`: given up so lately that what its last owner
-- had begun is still under way. Nothing, if `self` has run out.
CREATE FUNCTION workflow.claim_partitions(self uuid, wanted integer[], fresh_seconds double precision)
RETURNS TABLE (claimed integer, handed boolean)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM lock_partitions();
    DELETE FROM engines WHERE expires_at < clock_timestamp() - interval '1 hour';
    RETURN QUERY
    WITH alive AS MATERIALIZED (SELECT living_engines() AS id),
         free AS (
             SELECT p.partition, p.engine_id IS NULL AND p.handed_at IS NOT NULL
                    AND p.handed_at > clock_timestamp() - make_interval(secs => fresh_seconds) AS fresh
             FROM partitions AS p
             WHERE p.partition = ANY (wanted) AND self IN (SELECT id FROM alive)
               AND (p.engine_id IS NULL OR p.engine_id = self OR p.engine_id NOT IN (SELECT id FROM alive)))
    UPDATE partitions AS p SET engine_id = self, handed_at = NULL
    FROM free WHERE p.partition = free.partition
    RETURNING p.partition, free.fresh;
END $$;

CREATE FUNCTION workflow.release_partitions(self uuid, given integer[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM lock_partitions();
    UPDATE partitions SET engine_id = NULL, handed_at = (
        SELECT clock_timestamp() WHERE EXISTS (SELECT FROM living_engines() AS id WHERE id <> self))
    WHERE partition = ANY (given) AND engine_id = self;
END $$;

CREATE FUNCTION workflow.leave_engines(self uuid) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM release_partitions(self, ARRAY(SELECT partition FROM partitions WHERE engine_id = self));
    DELETE FROM engines WHERE id = self;
END $$;

REVOKE ALL ON FUNCTION workflow.living_engines, workflow.lock_partitions, workflow.renew_engine,
    workflow.claim_partitions, workflow.release_partitions, workflow.leave_engines FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflow.living_engines, workflow.lock_partitions, workflow.renew_engine,
    workflow.claim_partitions, workflow.release_partitions, workflow.leave_engines TO agentic_workflow_worker;

-- migrate:down

DROP FUNCTION workflow.leave_engines, workflow.release_partitions, workflow.claim_partitions, workflow.renew_engine,
    workflow.lock_partitions, workflow.living_engines;
DROP INDEX workflow.executions_open;
CREATE INDEX executions_open ON workflow.executions (id) WHERE completed_at IS NULL;
DROP TABLE workflow.partitions, workflow.engines;
