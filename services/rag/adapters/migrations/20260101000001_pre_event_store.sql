-- migrate:up

SELECT platform.create_event_store('rag');

-- migrate:down

DROP TABLE rag.checkpoints, rag.idempotency_keys, rag.snapshots, rag.events;
