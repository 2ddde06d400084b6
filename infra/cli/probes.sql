-- name: capabilities
select
    current_setting('server_version') as version,
    current_user as login,
    (select rolsuper or (rolcreaterole and rolcreatedb) from pg_roles where rolname = current_user) as administers,
    exists (select from pg_available_extensions where name = 'vector') as vectors;
