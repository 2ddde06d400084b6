"""The edge: Caddy with the Caddyfile that containers use too, its upstreams being the services' unix sockets."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from infra.local import daemon
from infra.local.limits import READY_POLL
from infra.local.ports import LOOPBACK

_FOLDER = Path(__file__).parents[1] / "edge"


class Edge:
    """One proxy on 127.0.0.1. `sockets` maps a service to its socket; one that does not exist is answered with 503."""

    def __init__(self, *, port: int, sockets: Mapping[str, Path], state: Path, log: Path) -> None:
        self.port = port
        self._sockets = sockets
        self._state = state
        self._log = log

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    async def spawn(self) -> asyncio.subprocess.Process:
        upstreams = {f"EDGE_{name.upper()}": f"unix/{socket}" for name, socket in self._sockets.items()}
        return await daemon.spawn(
            daemon.Program(
                argv=(daemon.script("caddy"), "run", "--config", str(_FOLDER / "Caddyfile"), "--adapter", "caddyfile"),
                environment={
                    "PATH": os.defpath,
                    "HOME": str(self._state),
                    "XDG_DATA_HOME": str(self._state),
                    "XDG_CONFIG_HOME": str(self._state),
                    "EDGE_PORT": str(self.port),
                    "EDGE_BIND": LOOPBACK,
                    **upstreams,
                },
                log=self._log,
                folder=_FOLDER,
            )
        )

    async def ready(self) -> None:
        """Wait until it listens."""
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, self.port)
            except ConnectionError:
                await asyncio.sleep(READY_POLL)
            else:
                writer.close()
                return
