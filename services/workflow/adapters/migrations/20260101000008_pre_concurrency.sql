-- migrate:up

-- Who runs, and who waits, of the executions of a workflow that have a concurrency key. A row is there from before its
-- execution begins until after it ended. `after_version` is the version of the execution's status row (0: there is
-- none) when the slot was asked for: what it was asked for has begun once the row is past that version. `leaving`: it
-- is to be cancelled, so that a newer one can take its place.
CREATE TABLE workflow.concurrency_slots (
    tenant_id     uuid NOT NULL,
    workflow_id   uuid NOT NULL,
    key           text NOT NULL,
    execution_id  uuid PRIMARY KEY,
    state         text NOT NULL CHECK (state IN ('holding', 'queued')),
    leaving       boolean NOT NULL DEFAULT false,
    slot_limit    integer NOT NULL,
    priority      integer NOT NULL,
    arrival       bigint GENERATED ALWAYS AS IDENTITY,
    after_version integer NOT NULL,
    since         timestamptz NOT NULL DEFAULT clock_timestamp()
);
SELECT platform.protect_table('workflow', 'concurrency_slots', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');
CREATE INDEX concurrency_holding ON workflow.concurrency_slots (workflow_id, key, arrival) WHERE state = 'holding';
CREATE INDEX concurrency_queued ON workflow.concurrency_slots (workflow_id, key, priority DESC, arrival)
    WHERE state = 'queued';

-- One key at a time is changed by one transaction; those of other keys go on. The commit does not wait for the disk, so
-- that the next one need not either: what follows from a slot (a start, an admission) is committed after it and is thus
-- behind it in the write-ahead log, so a crash that loses the slot loses that, too.
CREATE FUNCTION workflow.lock_concurrency_key(of_workflow uuid, of_key text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended(of_key, hashtextextended(of_workflow::text, 0)));
END $$;

-- Forgets the slots of one key whose execution has ended, or never began within `unused` (`whole`: those in the queue
-- too), and gives those that are free to who waits, by priority and then by arrival. An execution that is paused, or
-- whose start is not recorded yet, is passed over and keeps its place. Returns who is to be admitted.
CREATE FUNCTION workflow.settle_slots(
    of_workflow uuid, of_key text, unused interval, at_most integer, whole boolean
) RETURNS uuid[]
LANGUAGE plpgsql
AS $$
DECLARE
    holders  bigint;
    waiting  record;
    admitted uuid[] := '{}';
BEGIN
    PERFORM workflow.lock_concurrency_key(of_workflow, of_key);
    DELETE FROM concurrency_slots s
    WHERE s.workflow_id = of_workflow AND s.key = of_key AND (s.state = 'holding' OR (whole AND s.state = 'queued'))
      AND CASE WHEN EXISTS (SELECT FROM executions e WHERE e.id = s.execution_id AND e.version > s.after_version)
               THEN EXISTS (SELECT FROM executions e WHERE e.id = s.execution_id AND e.completed_at IS NOT NULL)
               ELSE s.since < clock_timestamp() - unused END;
    SELECT count(*) INTO holders FROM concurrency_slots s
    WHERE s.workflow_id = of_workflow AND s.key = of_key AND s.state = 'holding';
    FOR waiting IN
        SELECT s.execution_id, s.slot_limit
        FROM concurrency_slots s, LATERAL (SELECT FROM executions e
                                           WHERE e.id = s.execution_id AND e.status = 'pending' LIMIT 1) begun
        WHERE s.workflow_id = of_workflow AND s.key = of_key AND s.state = 'queued' AND NOT s.leaving
        ORDER BY s.priority DESC, s.arrival
        LIMIT at_most
    LOOP
        EXIT WHEN holders >= waiting.slot_limit;
        UPDATE concurrency_slots SET state = 'holding', since = clock_timestamp()
        WHERE execution_id = waiting.execution_id;
        holders := holders + 1;
        admitted := admitted || waiting.execution_id;
    END LOOP;
    RETURN admitted;
END $$;

-- Asks for a slot. `outcome`: `holding` or `queued`, as often as it is asked for; `known` if the execution has begun
-- already and nothing is to be taken; `full` or `queue_full`, and nothing was taken. `admitted` took free slots before,
-- `leaving` are to be cancelled. `again`: the execution has ended and is to go on; it never waits in the queue.
CREATE FUNCTION workflow.take_slot(
    of_tenant uuid, of_workflow uuid, of_key text, of_execution uuid, again boolean, wanted_limit integer,
    wanted_priority integer, when_full text, max_queued integer, unused interval, at_most integer,
    OUT outcome text, OUT admitted uuid[], OUT leaving uuid[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    begun   record;
    mine    record;
    holders bigint;
    queued  bigint;
BEGIN
    admitted := '{}';
    leaving := '{}';
    PERFORM workflow.lock_concurrency_key(of_workflow, of_key);
    SELECT e.version, e.completed_at INTO begun FROM executions e WHERE e.id = of_execution;
    IF FOUND AND NOT (again AND begun.completed_at IS NOT NULL) THEN
        outcome := 'known';
        RETURN;
    END IF;
    UPDATE concurrency_slots s SET since = clock_timestamp()
    WHERE s.execution_id = of_execution AND s.after_version = coalesce(begun.version, 0)
    RETURNING s.state INTO mine;
    IF FOUND THEN
        outcome := mine.state;
        RETURN;
    END IF;
    DELETE FROM concurrency_slots s WHERE s.execution_id = of_execution;

    SELECT count(*) INTO holders FROM concurrency_slots s
    WHERE s.workflow_id = of_workflow AND s.key = of_key AND s.state = 'holding';
    SELECT count(*) INTO queued FROM concurrency_slots s
    WHERE s.workflow_id = of_workflow AND s.key = of_key AND s.state = 'queued';
    -- The limit that was asked for last counts for all who wait.
    IF queued > 0 AND wanted_limit <> (
        SELECT s.slot_limit FROM concurrency_slots s
        WHERE s.workflow_id = of_workflow AND s.key = of_key AND s.state = 'queued'
        ORDER BY s.priority DESC, s.arrival LIMIT 1
    ) THEN
        UPDATE concurrency_slots s SET slot_limit = wanted_limit
        WHERE s.workflow_id = of_workflow AND s.key = of_key AND s.state = 'queued';
    END IF;
    -- Who waits goes first. A long queue is settled by those who look after it, not by each that joins.
    IF (holders >= wanted_limit AND queued = 0) OR (holders < wanted_limit AND queued > 0) OR when_full <> 'queue'
       OR queued >= max_queued THEN
        admitted := workflow.settle_slots(of_workflow, of_key, unused, at_most, true);
        SELECT count(*) FILTER (WHERE s.state = 'holding'), count(*) FILTER (WHERE s.state = 'queued')
        INTO holders, queued FROM concurrency_slots s WHERE s.workflow_id = of_workflow AND s.key = of_key;
    END IF;

    IF holders < wanted_limit THEN
        outcome := 'holding';
    ELSIF again OR when_full = 'reject' THEN
        outcome := 'full';
        RETURN;
    ELSIF queued >= max_queued THEN
        outcome := 'queue_full';
        RETURN;
    ELSE
        outcome := 'queued';
    END IF;
    INSERT INTO concurrency_slots (tenant_id, workflow_id, key, execution_id, state, slot_limit, priority, after_version)
    VALUES (of_tenant, of_workflow, of_key, of_execution, outcome, wanted_limit, wanted_priority,
            coalesce(begun.version, 0));
    IF outcome = 'queued' AND when_full = 'cancel_oldest' THEN
        WITH oldest AS (
            SELECT s.execution_id FROM concurrency_slots s
            WHERE s.workflow_id = of_workflow AND s.key = of_key AND NOT s.leaving
            ORDER BY s.arrival DESC
            OFFSET wanted_limit
        ), marked AS (
            UPDATE concurrency_slots s SET leaving = true FROM oldest o WHERE s.execution_id = o.execution_id
            RETURNING s.execution_id
        )
        SELECT coalesce(array_agg(m.execution_id), '{}') INTO take_slot.leaving FROM marked m;
    END IF;
END $$;

REVOKE ALL ON FUNCTION workflow.lock_concurrency_key, workflow.settle_slots, workflow.take_slot FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflow.lock_concurrency_key, workflow.settle_slots, workflow.take_slot
    TO agentic_workflow_worker;

-- migrate:down

DROP FUNCTION workflow.take_slot, workflow.settle_slots, workflow.lock_concurrency_key;
DROP TABLE workflow.concurrency_slots;
