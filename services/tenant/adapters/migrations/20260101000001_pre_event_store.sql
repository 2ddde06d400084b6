-- migrate:up

SELECT platform.create_event_store('tenant');

-- migrate:down

DROP TABLE tenant.checkpoints, tenant.idempotency_keys, tenant.snapshots, tenant.events;
