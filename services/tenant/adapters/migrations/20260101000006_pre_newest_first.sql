-- migrate:up

-- Lists are sorted by time: an id that follows from an Idempotency-Key says nothing of it.
CREATE INDEX tenants_newest ON tenant.tenants (parent_id, created_at DESC, tenant_id DESC);
CREATE INDEX users_newest ON tenant.users (tenant_id, created_at DESC, id DESC);
CREATE INDEX api_keys_newest ON tenant.api_keys (tenant_id, created_at DESC, id DESC);
DROP INDEX tenant.tenants_by_parent, tenant.users_by_tenant, tenant.api_keys_by_tenant;

-- migrate:down

CREATE INDEX tenants_by_parent ON tenant.tenants (parent_id, tenant_id DESC);
CREATE INDEX users_by_tenant ON tenant.users (tenant_id, id DESC);
CREATE INDEX api_keys_by_tenant ON tenant.api_keys (tenant_id, id DESC);
DROP INDEX tenant.tenants_newest, tenant.users_newest, tenant.api_keys_newest;
