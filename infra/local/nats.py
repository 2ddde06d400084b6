"""The embedded NATS server: JetStream on disk, an nkey for each service, and a callout for everyone else."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from infra.local import daemon
from infra.local.limits import READY_POLL
from infra.local.nats_credentials import CALLOUT_ISSUER, Credentials
from infra.local.nats_permissions import OPERATOR, rights
from infra.local.ports import LOOPBACK
from shared.limits import NATS_MAX_PAYLOAD
from shared.settings import SERVICES

ACCOUNT = "APP"
_GREETING = b"INFO "


class Nats:
    """One server. Its configuration file is written at each start from the credentials and the permission table."""

    def __init__(self, *, store: Path, config: Path, credentials: Credentials, port: int, log: Path) -> None:
        self._store = store
        self._config = config
        self._credentials = credentials
        self._log = log
        self.port = port

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    async def spawn(self) -> asyncio.subprocess.Process:
        self._config.write_text(json.dumps(configuration(self._store, self._credentials, self.port), indent=2))
        return await daemon.spawn(
            daemon.Program(
                argv=(daemon.script("nats-server"), "--config", str(self._config)),
                environment={"PATH": os.defpath},
                log=self._log,
                folder=self._store,
                death_signal=signal.SIGTERM,
            )
        )

    async def ready(self) -> None:
        """Wait for the server's greeting; it listens for clients only after JetStream has recovered."""
        while True:
            try:
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
            except ConnectionError:
                await asyncio.sleep(READY_POLL)
                continue
            try:
                if await reader.read(len(_GREETING)) == _GREETING:
                    return
            finally:
                writer.close()


def configuration(store: Path, credentials: Credentials, port: int) -> dict[str, Any]:
    """Return the server's configuration; its format is a superset of JSON."""
    names = (*SERVICES, OPERATOR)
    return {
        "server_name": "agentic",
        "host": LOOPBACK,
        "port": port,
        "max_payload": NATS_MAX_PAYLOAD,
        "jetstream": {"store_dir": str(store)},
        "accounts": {
            ACCOUNT: {"jetstream": "enabled", "users": [_user(name, credentials) for name in names]},
            "SYS": {"users": []},
        },
        "system_account": "SYS",
        "authorization": {
            "auth_callout": {
                "issuer": credentials.public(CALLOUT_ISSUER),
                "account": ACCOUNT,
                # These sign a nonce with their nkey; whoever else connects is asked about on $SYS.REQ.USER.AUTH.
                "auth_users": [credentials.public(name) for name in names],
            }
        },
    }


def _user(name: str, credentials: Credentials) -> dict[str, Any]:
    nkey = credentials.public(name)
    if name == OPERATOR:
        return {"nkey": nkey}
    allowed = rights(name)
    permissions: dict[str, Any] = {
        "publish": {"allow": list(allowed.publish)},
        "subscribe": {"allow": list(allowed.subscribe)},
    }
    if allowed.answers:
        permissions["allow_responses"] = True
    return {"nkey": nkey, "permissions": permissions}
