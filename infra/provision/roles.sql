-- Temporary functions that make logins. Names are quoted here, on the server: nothing outside builds SQL.

create or replace function pg_temp.ensure_login(login text, secret text) returns void language plpgsql as $$
begin
    if not exists (select from pg_roles where rolname = login) then
        execute format('create role %I login noinherit nocreatedb nocreaterole password %L', login, secret);
    else
        execute format('alter role %I password %L', login, secret);
    end if;
    if exists (select from pg_roles where rolname = login and (rolbypassrls or rolsuper)) then
        raise exception 'role % may bypass row level security', login;
    end if;
end
$$;
