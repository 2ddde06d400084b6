-- migrate:up

SELECT platform.create_event_store('agent');

-- migrate:down

DROP TABLE agent.checkpoints, agent.idempotency_keys, agent.snapshots, agent.events;
