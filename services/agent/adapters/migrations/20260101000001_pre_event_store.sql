-- migrate:up

SELECT platform.create_event_store('agent');

-- migrate:down

DROP TABLE agent.checkpoints, agent.idempotency_keys, agent.inbox, agent.snapshots, agent.events;
