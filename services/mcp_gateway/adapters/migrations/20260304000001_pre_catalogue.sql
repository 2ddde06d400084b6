-- migrate:up

-- A tenant's own entries of the catalogue, written with their events. `server` is the server.json as text: it is shown
-- as it was given, and nothing is looked for in it. Those that come with the platform are part of the code.
CREATE TABLE mcp_gateway.catalogue_entries (
    tenant_id   uuid NOT NULL,
    id          uuid PRIMARY KEY,
    slug        text NOT NULL,
    name        text NOT NULL,
    title       text NOT NULL,
    description text NOT NULL,
    version     text NOT NULL,
    kinds       text[] NOT NULL,
    server      text NOT NULL,
    added_at    timestamptz NOT NULL,
    CONSTRAINT catalogue_entries_slug UNIQUE (tenant_id, slug)
);
SELECT platform.protect_table('mcp_gateway', 'catalogue_entries', 'SELECT, INSERT, DELETE', 'SELECT');

-- migrate:down

DROP TABLE mcp_gateway.catalogue_entries;
