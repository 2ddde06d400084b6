-- migrate:up

-- Commands of the operator that were answered, for as long as their signature would be good: no tenant's data.
CREATE TABLE tenant.operator_commands (
    nonce   text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, DELETE ON tenant.operator_commands TO agentic_tenant_worker;

-- migrate:down

DROP TABLE tenant.operator_commands;
