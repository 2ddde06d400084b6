-- migrate:up

-- What a service asks for after it was away. The types stand here as in sql/directory.sql, or the index is not used.
CREATE INDEX events_of_revocation ON tenant.events (recorded_at)
    WHERE type IN ('tenant.user-deleted.v1', 'tenant.api-key-revoked.v1');

-- migrate:down

DROP INDEX tenant.events_of_revocation;
