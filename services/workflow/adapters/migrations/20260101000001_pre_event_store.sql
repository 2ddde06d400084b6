-- migrate:up

SELECT platform.create_event_store('workflow');

-- migrate:down

DROP TABLE workflow.checkpoints, workflow.idempotency_keys, workflow.snapshots, workflow.events;
