"""Bring a Postgres server to what this version needs: logins, database, schemas, and every migration.

`python -m infra.migrate` reads AGENTIC_POSTGRES_DSN (an administrator's) and the key file in AGENTIC_DATA_DIR.
Safe to run twice and at the same time: an advisory lock lets one run work and the others find nothing to do.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from infra import services
from infra.local import daemon
from infra.local.errors import StartFailed
from infra.local.keys import role_password, secret_key
from infra.local.together import together
from infra.provision import dsn
from shared.db.queries import load_queries

_PROVISION = Path(__file__).parent / "provision"
_PLATFORM = Path(__file__).parent / "migrations"
_SQL = load_queries(_PROVISION / "queries.sql")


class MigrationFailed(StartFailed):
    """dbmate refused or failed; the message carries what it said."""

    code = "migration_failed"


async def migrate(admin_dsn: str, key: bytes, names: Sequence[str]) -> bool:
    """Migrate for the services `names`; say whether there was anything to do."""
    print_of_files = fingerprint(key, names)
    if await _recorded(admin_dsn) == print_of_files:
        return False
    cluster = await asyncpg.connect(admin_dsn)
    try:
        await cluster.execute(_SQL.lock)
        await _logins(cluster, key, names)
        if not await cluster.fetchval(_SQL.database_exists):
            await cluster.execute(_SQL.create_database)
        if await _recorded(admin_dsn) == print_of_files:
            return False
        database = await asyncpg.connect(dsn.in_database(admin_dsn))
        try:
            await _schemas(database, names)
            as_migrator = dsn.for_login(admin_dsn, key, dsn.MIGRATOR)
            await _dbmate(as_migrator, _PLATFORM, "platform")
            await together(*(_dbmate(as_migrator, services.migrations(name), name) for name in names))
            await database.execute(_SQL.record_fingerprint, print_of_files)
        finally:
            await database.close()
    finally:
        await cluster.close()
    return True


def fingerprint(key: bytes, names: Sequence[str]) -> str:
    """Return a hash of everything that a run depends on: the SQL, the services, and the key behind the passwords."""
    digest = hashlib.sha256(role_password(key, "fingerprint").encode())
    for folder in (_PROVISION, _PLATFORM, *(services.migrations(name) for name in names)):
        for file in sorted(folder.glob("*.sql")):
            digest.update(f"{folder.parts[-3:]}{file.name}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    digest.update(",".join(names).encode())
    return digest.hexdigest()


async def _recorded(admin_dsn: str) -> str | None:
    try:
        database = await asyncpg.connect(dsn.in_database(admin_dsn))
    except asyncpg.InvalidCatalogNameError:
        return None
    try:
        value: str | None = await database.fetchval(_SQL.fingerprint)
    except asyncpg.UndefinedTableError:
        return None
    else:
        return value
    finally:
        await database.close()


async def _logins(cluster: asyncpg.Connection, key: bytes, names: Sequence[str]) -> None:
    await cluster.execute((_PROVISION / "roles.sql").read_text())
    logins = [dsn.MIGRATOR, *(login for name in names for login in (dsn.serving(name), dsn.working(name)))]
    for login in logins:
        await cluster.execute(_SQL.ensure_login, login, role_password(key, login))


async def _schemas(database: asyncpg.Connection, names: Sequence[str]) -> None:
    await database.execute((_PROVISION / "schemas.sql").read_text())
    for name in names:
        await database.execute(_SQL.ensure_schema, name)
        for login in (dsn.serving(name), dsn.working(name)):
            await database.execute(_SQL.admit, login, name)


async def _dbmate(migrator_dsn: str, folder: Path, schema: str) -> None:
    if not folder.is_dir():
        return
    process = await asyncio.create_subprocess_exec(
        daemon.script("dbmate"),
        "--no-dump-schema",
        "--migrations-dir",
        str(folder),
        "--migrations-table",
        f"{schema}.schema_migrations",
        "migrate",
        env={"PATH": os.defpath, "DATABASE_URL": dsn.with_search_path(migrator_dsn, schema, "platform")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise MigrationFailed(f"The migrations of {schema} failed: {said.decode(errors='replace').strip()}")


def main() -> None:
    """Migrate for all services and say what happened."""
    admin_dsn = os.environ.get("AGENTIC_POSTGRES_DSN")
    if admin_dsn is None:
        sys.exit("Set AGENTIC_POSTGRES_DSN to the connection string of an administrator.")
    key = secret_key(Path(os.environ.get("AGENTIC_DATA_DIR", ".agentic")) / "secret.key")
    changed = asyncio.run(migrate(admin_dsn, key, services.installed()))
    print("migrated" if changed else "nothing to migrate")


if __name__ == "__main__":
    main()
