"""Make what a deployment in containers starts from: `python -m infra.containers.prepare` with every volume at hand.

Reads AGENTIC_POSTGRES_DSN (an administrator's) and AGENTIC_NATS_URL as the services are to reach it. Below AGENTIC_KEYS
it fills a folder for each container: the NATS server's configuration, and for each service its own environment, with no
secret of another's. Safe to run again: keys are made once, and the database is brought up to date.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from infra import services
from infra.local.keys import master_key, secret_key, write_secret
from infra.local.nats import configuration
from infra.local.nats_credentials import CALLOUT_ISSUER, SECRETS_READERS, Credentials
from infra.local.nats_permissions import OPERATOR
from infra.migrate import migrate
from infra.provision import dsn

_NATS_STORE = Path("/data")
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a network of the deployment's own
_PORT = 4222
_HEALTH = "127.0.0.1:8222"


def prepare(keys: Path, admin_dsn: str, nats_url: str) -> None:
    """Write keys and configurations below `keys`, and migrate."""
    own = keys / "operator"
    key = secret_key(own / "secret.key")
    credentials = Credentials(own / "nats")
    server = {**configuration(_NATS_STORE, credentials, _PORT), "host": _EVERYWHERE, "http": _HEALTH}
    write_secret(keys / "nats" / "nats.conf", json.dumps(server, indent=2))
    for name in services.installed():
        write_secret(
            keys / name / "environment.json", json.dumps(_environment(name, key, credentials, admin_dsn, nats_url))
        )
    asyncio.run(migrate(admin_dsn, key, services.installed()))


def _environment(name: str, key: bytes, credentials: Credentials, admin_dsn: str, nats_url: str) -> dict[str, str]:
    environment = {
        "AGENTIC_POSTGRES_DSN": dsn.for_login(admin_dsn, key, dsn.serving(name)),
        "AGENTIC_POSTGRES_WORKER_DSN": dsn.for_login(admin_dsn, key, dsn.working(name)),
        "AGENTIC_NATS_URL": nats_url,
        "AGENTIC_NATS_SEED": credentials.seed(name),
    }
    if name in {"tenant", "workflow"}:
        environment[f"AGENTIC_{name.upper()}_MASTER_KEY"] = master_key(key, name).hex()
    if name in SECRETS_READERS:
        environment[f"AGENTIC_{name.upper()}_SECRETS_SEED"] = credentials.secrets_seed(name)
    if name == "tenant":
        environment["AGENTIC_TENANT_SECRETS_READERS"] = credentials.secrets_readers()
        environment["AGENTIC_TENANT_NATS_ISSUER_SEED"] = credentials.seed(CALLOUT_ISSUER)
        environment["AGENTIC_TENANT_OPERATOR_KEY"] = credentials.public(OPERATOR)
    return environment


def main() -> None:
    """Prepare, or say which variable is missing."""
    try:
        keys, admin_dsn, nats_url = (
            os.environ[name] for name in ("AGENTIC_KEYS", "AGENTIC_POSTGRES_DSN", "AGENTIC_NATS_URL")
        )
    except KeyError as missing:
        sys.exit(f"Set {missing.args[0]}.")
    prepare(Path(keys), admin_dsn, nats_url)


if __name__ == "__main__":
    main()
