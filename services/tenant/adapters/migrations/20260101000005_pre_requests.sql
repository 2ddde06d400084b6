-- migrate:up

-- Which request made the thing with this id, where the request had an Idempotency-Key. The digest is keyed: requests
-- hold passwords, and nobody may guess them by it.
CREATE TABLE tenant.requests (
    tenant_id uuid NOT NULL REFERENCES tenant.tenants (tenant_id),
    id        uuid NOT NULL,
    digest    bytea NOT NULL,
    CONSTRAINT requests_id PRIMARY KEY (id)
);
SELECT platform.protect_table('tenant', 'requests', 'SELECT, INSERT', 'SELECT');

-- migrate:down

DROP TABLE tenant.requests;
