-- migrate:up

-- What a tenant's secrets are encrypted with, itself encrypted under the master key. Whoever deletes this row leaves
-- nothing of them that could be read, in no copy of the other table either.
CREATE TABLE tenant.data_keys (
    tenant_id   uuid PRIMARY KEY REFERENCES tenant.tenants (tenant_id),
    wrapped_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
SELECT platform.protect_table('tenant', 'data_keys', 'SELECT, INSERT, DELETE', 'SELECT, UPDATE (wrapped_key)');

CREATE TABLE tenant.secrets (
    tenant_id   uuid NOT NULL REFERENCES tenant.tenants (tenant_id),
    id          uuid NOT NULL,
    name        text NOT NULL,
    description text NOT NULL,
    version     integer NOT NULL,
    ciphertext  bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    updated_by  text NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
SELECT platform.protect_table(
    'tenant', 'secrets', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT (tenant_id, name, version)');
CREATE INDEX secrets_newest ON tenant.secrets (tenant_id, created_at DESC, id DESC);

-- When the master key is changed: the signing key is wrapped anew, and a key gets its new digest when it is used.
GRANT UPDATE (wrapped_key) ON tenant.signing_keys TO agentic_tenant_worker;
GRANT UPDATE (digest) ON tenant.api_keys TO agentic_tenant_worker;

-- migrate:down

REVOKE UPDATE (digest) ON tenant.api_keys FROM agentic_tenant_worker;
REVOKE UPDATE (wrapped_key) ON tenant.signing_keys FROM agentic_tenant_worker;
DROP TABLE tenant.secrets, tenant.data_keys;
