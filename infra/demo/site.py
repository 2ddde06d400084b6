"""A small site on this machine: pages to fetch, and a supplier that refuses the first requests of each order."""

import json
import threading
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PAGES = {f"/{file.name}": file.read_bytes() for file in (Path(__file__).parent / "pages").glob("*.json")}
_ORDERS = "/orders/"
REFUSALS = 2
_LOOPBACK = "127.0.0.1"


class Site:
    """Serves for as long as the block lasts, on a free port of the loopback interface."""

    def __init__(self) -> None:
        site = self

        class Handler(_Handler):
            owner = site

        self._server = ThreadingHTTPServer((_LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo site", daemon=True)
        self._orders: Counter[str] = Counter()
        self._counting = threading.Lock()

    @property
    def host(self) -> str:
        """The `host:port` that deployments have to allow."""
        return f"{_LOOPBACK}:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def count(self, order: str) -> int:
        """Count a request for an order and return how many there were with it."""
        with self._counting:
            self._orders[order] += 1
            return self._orders[order]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Site

    def do_GET(self) -> None:
        page = _PAGES.get(self.path)
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, b'{"error": "no such page"}')
        else:
            self._answer(HTTPStatus.OK, page)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        order = self.path.removeprefix(_ORDERS)
        if order == self.path or not order:
            self._answer(HTTPStatus.NOT_FOUND, b'{"error": "no such page"}')
            return
        seen = self.owner.count(order)
        if seen <= REFUSALS:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b'{"error": "busy, try again"}')
        else:
            self._answer(HTTPStatus.OK, json.dumps({"accepted": True, "requests_seen": seen}).encode())

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """Say nothing: the terminal belongs to the demo's table."""
