-- Temporary functions that make a schema of the migrator and let a service's two logins into it.

create or replace function pg_temp.ensure_schema(name text) returns void language plpgsql as $$
begin
    execute format('create schema if not exists %I authorization agentic_migrator', name);
end
$$;

create or replace function pg_temp.admit(login text, name text) returns void language plpgsql as $$
begin
    execute format('grant connect on database agentic to %I', login);
    execute format('grant usage on schema %I, platform to %I', name, login);
    execute format('alter role %I in database agentic set search_path = %I, platform', login, name);
end
$$;

grant agentic_migrator to current_user;
grant connect, temporary on database agentic to agentic_migrator;
revoke all on database agentic from public;
revoke all on schema public from public;
select pg_temp.ensure_schema('platform');

-- Vectors, where the server has them: in the schema that every search path ends with.
do $$
begin
    if exists (select from pg_available_extensions where name = 'vector') then
        create extension if not exists vector schema platform;
    end if;
end
$$;

-- What the last complete run was made from, so that a start with nothing new costs one query.
create schema if not exists provisioning;
create table if not exists provisioning.fingerprint (
    singleton boolean primary key default true check (singleton),
    value text not null,
    recorded_at timestamptz not null default now()
);
