-- migrate:up

-- Rows are written in the transaction of the events that they mirror. The role that serves requests is not granted the
-- columns that hold hashes of passwords and digests of keys: it writes them and cannot read them.
CREATE TABLE tenant.tenants (
    tenant_id  uuid PRIMARY KEY,
    slug       text NOT NULL,
    name       text NOT NULL,
    plan       text NOT NULL,
    status     text NOT NULL,
    parent_id  uuid REFERENCES tenant.tenants (tenant_id),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT tenants_slug UNIQUE (slug)
);
SELECT platform.protect_table('tenant', 'tenants', 'SELECT, INSERT', 'SELECT');
-- A tenant also sees, and only sees, the tenants that it created.
CREATE POLICY created_by ON tenant.tenants FOR SELECT TO agentic_tenant
    USING (parent_id = platform.current_tenant());
CREATE INDEX tenants_by_parent ON tenant.tenants (parent_id, tenant_id DESC);

CREATE TABLE tenant.users (
    tenant_id     uuid NOT NULL REFERENCES tenant.tenants (tenant_id),
    id            uuid PRIMARY KEY,
    email         text NOT NULL,
    password_hash text NOT NULL,
    role          text NOT NULL,
    status        text NOT NULL,
    created_at    timestamptz NOT NULL,
    CONSTRAINT users_email UNIQUE (tenant_id, email)
);
SELECT platform.protect_table(
    'tenant', 'users', 'SELECT (tenant_id, id, email, role, status, created_at), INSERT, DELETE', 'SELECT');
CREATE INDEX users_by_email ON tenant.users (email);
CREATE INDEX users_by_tenant ON tenant.users (tenant_id, id DESC);

CREATE TABLE tenant.api_keys (
    tenant_id    uuid NOT NULL REFERENCES tenant.tenants (tenant_id),
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    prefix       text NOT NULL,
    digest       bytea NOT NULL,
    scopes       text[] NOT NULL,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    CONSTRAINT api_keys_digest UNIQUE (digest)
);
SELECT platform.protect_table(
    'tenant', 'api_keys',
    'SELECT (tenant_id, id, name, prefix, scopes, created_by, created_at, expires_at, revoked_at, last_used_at), '
    'INSERT, UPDATE (revoked_at)',
    'SELECT, UPDATE (last_used_at)');
CREATE INDEX api_keys_by_tenant ON tenant.api_keys (tenant_id, id DESC);

-- Keys that access tokens are signed with: the platform's, no tenant's. The private half is wrapped by the master key.
CREATE TABLE tenant.signing_keys (
    kid         text PRIMARY KEY,
    public_key  bytea NOT NULL,
    wrapped_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at  timestamptz
);
CREATE UNIQUE INDEX signing_keys_one_active ON tenant.signing_keys ((true)) WHERE retired_at IS NULL;
GRANT SELECT, INSERT ON tenant.signing_keys TO agentic_tenant_worker;

-- migrate:down

DROP TABLE tenant.signing_keys, tenant.api_keys, tenant.users, tenant.tenants;
