"""Servers that the platform was told to use in place of its own: whether they answer, and can do what is needed."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import nats.errors
from nats.aio.client import Client

from infra.cli.errors import reason
from infra.cli.finding import Finding
from infra.cli.limits import PROBE_TIMEOUT
from shared.db.queries import load_queries
from shared.limits import NATS_MAX_PAYLOAD

_SQL = load_queries(Path(__file__).with_name("probes.sql"))
_MIB = 1024 * 1024


async def postgres(dsn: str) -> list[Finding]:
    """Check the server of an administrator's connection string."""
    where = _address(dsn)
    try:
        seen = await _capabilities(dsn)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        remedy = "Start it, or correct AGENTIC_POSTGRES_DSN; unset, the platform brings a Postgres of its own."
        return [Finding("postgres", "wrong", f"{where}: {reason(error)}", remedy)]
    found = [Finding("postgres", "ok", f"PostgreSQL {seen['version']} at {where}")]
    if not seen["administers"]:
        remedy = "Give AGENTIC_POSTGRES_DSN a superuser's login, or one with CREATEROLE and CREATEDB."
        found = [Finding("postgres", "wrong", f"{seen['login']} may not create roles and databases", remedy)]
    if seen["vectors"]:
        return [*found, Finding("pgvector", "ok", "available")]
    remedy = "Install pgvector on that server (Debian: postgresql-<version>-pgvector; image: pgvector/pgvector)."
    return [*found, Finding("pgvector", "wrong", f"{where} has no extension `vector`", remedy)]


async def nats_server(url: str) -> list[Finding]:
    """Check the server at this address, with the credentials that are in it."""
    where = _address(url)
    try:
        version, max_payload, jetstream = await _server(url)
    except _NoNats as error:
        remedy = "Start it, or correct AGENTIC_NATS_URL; unset, the platform brings a NATS server of its own."
        return [Finding("nats", "wrong", f"{where}: {error}", remedy)]
    found = [Finding("nats", "ok", f"{version.strip('<>')} at {where}")]
    if max_payload < NATS_MAX_PAYLOAD:
        remedy = f"Set `max_payload: {NATS_MAX_PAYLOAD // _MIB}MB` in its configuration."
        detail = f"messages may have {max_payload:,} bytes only: larger results fail"
        found.append(Finding("nats", "note", detail, remedy))
    if jetstream:
        return [*found, Finding("jetstream", "ok", "on")]
    remedy = "Start it with JetStream: `nats-server -js`, or `jetstream {}` in its configuration."
    return [*found, Finding("jetstream", "wrong", f"{where} has none for this login", remedy)]


class _NoNats(Exception):
    """The server does not answer or does not let us in; the text says why and holds no credentials."""


async def _capabilities(dsn: str) -> Any:
    connection = await asyncpg.connect(dsn, timeout=PROBE_TIMEOUT, command_timeout=PROBE_TIMEOUT)
    try:
        return await connection.fetchrow(_SQL.capabilities)
    finally:
        await connection.close()


async def _server(url: str) -> tuple[str, int, bool]:
    """Return the version, the bound on messages, and whether this login has JetStream."""
    said: list[Exception] = []

    async def note(error: Exception) -> None:
        said.append(error)

    client = Client()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            await client.connect(url, allow_reconnect=False, error_cb=note)
    except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
        with contextlib.suppress(AssertionError):  # how the client says that it had not even begun
            await client.close()
        # What the client raises in the end is less than what it told on the way.
        raise _NoNats(reason(said[-1] if said else error)) from error
    try:
        bound = client.max_payload
        try:
            await client.jetstream(timeout=PROBE_TIMEOUT).account_info()
        except (nats.errors.Error, TimeoutError):
            return str(client.connected_server_version), bound, False
        return str(client.connected_server_version), bound, True
    finally:
        await client.close()


def _address(url: str) -> str:
    """Return host and port without the credentials."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "no address"
    except ValueError:
        return "no address"
