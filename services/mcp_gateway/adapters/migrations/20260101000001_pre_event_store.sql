-- migrate:up

SELECT platform.create_event_store('mcp_gateway');

-- migrate:down

DROP TABLE mcp_gateway.checkpoints, mcp_gateway.idempotency_keys, mcp_gateway.snapshots, mcp_gateway.events;
