-- name: fingerprint
select value from provisioning.fingerprint;

-- name: record_fingerprint
insert into provisioning.fingerprint (value) values ($1)
on conflict (singleton) do update set value = excluded.value, recorded_at = now();

-- name: lock
select pg_advisory_lock(7236134501);

-- name: database_exists
select exists (select from pg_database where datname = 'agentic');

-- name: create_database
create database agentic;

-- name: ensure_login
select pg_temp.ensure_login($1, $2);

-- name: ensure_schema
select pg_temp.ensure_schema($1);

-- name: admit
select pg_temp.admit($1, $2);
