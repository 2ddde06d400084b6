"""Secrets in the requests of `http` steps: filled in when they are sent, and kept out of what errors say."""

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from services.workflow.adapters.http_requests import HttpRequests
from shared.bus.tasks import Task, TaskResult
from shared.errors import Unavailable
from shared.net.guard import guarded_client
from shared.secrets.errors import SecretNotFound

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY, WEIRD = "value-of-the-shops-key", "wéird & \"quoted\"\\'value'"
TENANT = uuid4()


class Shop(BaseHTTPRequestHandler):
    """Says on the test's side what it got, and repeats it to whoever asks with status 400."""

    protocol_version = "HTTP/1.1"
    got: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.got.append({"path": self.path, "headers": dict(self.headers), "body": body})
        answer = json.dumps([self.path, dict(self.headers), body]).encode()
        self.send_response(400 if self.path.startswith("/refuse") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Kept:
    """Secrets of one tenant; `away` is how often it does not answer."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.away = 0
        self.values = {"KEY": KEY, "WEIRD": WEIRD, "LINES": "two\nlines-of-a-value", "PATH": "/seen"}

    async def resolve(self, tenant_id: UUID, names: Sequence[str]) -> dict[str, str]:
        assert tenant_id == TENANT
        self.asked.append(names)
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        for name in names:
            if name not in self.values:
                raise SecretNotFound(name)
        return {name: self.values[name] for name in names}


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Worker:
    def __init__(self, requests: HttpRequests, kept: Kept, host: str) -> None:
        self._requests = requests
        self.kept = kept
        self.host = host

    async def send(self, *secret_paths: Sequence[str | int], seconds: float = 20, **fields: Any) -> TaskResult:
        payload = {
            "method": "POST", "url": f"http://{self.host}/seen", "headers": {}, "query": {}, "body": None,
            "ok_statuses": [[200, 299]], "timeout_seconds": 10.0, **fields,
        }  # fmt: skip
        if secret_paths:
            payload["secret_paths"] = [list(path) for path in secret_paths]
        deadline = int((time.time() + seconds) * 1000)
        return await self._requests.do(Task("t/s/1", TENANT, uuid4(), "s", 1, 0, deadline, payload))


@pytest_asyncio.fixture(loop_scope="module")
async def worker(shop: str) -> AsyncIterator[Worker]:
    client, kept = guarded_client(frozenset({shop})), Kept()
    Shop.got.clear()
    yield Worker(HttpRequests(client, kept), kept, shop)
    await client.aclose()


async def test_they_are_filled_in_where_the_step_has_them(worker: Worker) -> None:
    fields = {
        "url": f"http://{worker.host}{{secret.PATH}}?k={{secret.KEY}}",
        "headers": {"authorization": "Bearer {secret.KEY}", "x-plain": "{secret.KEY}"},
        "query": {},
        "body": {"deep": [{"key": "{secret.WEIRD}"}, "{secret.WEIRD}"]},
    }
    result = await worker.send(("url",), ("headers", "authorization"), ("body", "deep", 0, "key"), **fields)
    assert result.status == "ok"
    (got,) = Shop.got
    assert got["path"] == f"/seen?k={KEY}"
    assert (got["headers"]["authorization"], got["headers"]["x-plain"]) == (f"Bearer {KEY}", "{secret.KEY}")
    assert json.loads(got["body"]) == {"deep": [{"key": WEIRD}, "{secret.WEIRD}"]}
    assert worker.kept.asked == [["KEY", "PATH", "WEIRD"]], "one question for all of them"


async def test_a_request_without_any_asks_nobody(worker: Worker) -> None:
    assert (await worker.send(body="{secret.KEY}")).status == "ok"
    assert Shop.got[0]["body"] == "{secret.KEY}"
    assert worker.kept.asked == []


@pytest.mark.parametrize(
    ("paths", "fields", "code", "retryable"),
    [
        ([("body",)], {"body": "{secret.NONE}"}, "secret_not_found", False),
        ([("body",)], {"body": "{secret.no-name}"}, "secret_not_found", False),
        ([("body", "x")], {"body": "{secret.KEY}"}, "invalid_input", False),
        ([("body",)], {"body": {"a": 1}}, "invalid_input", False),
        ([("body", "a", 7)], {"body": {"a": []}}, "invalid_input", False),
        ([("body",)], {"body": "{secret.KEY}" * 60_000}, "too_large", False),
    ],
)
async def test_what_cannot_be_filled_in_is_not_sent(
    worker: Worker, paths: list[Sequence[str | int]], fields: dict[str, Any], code: str, *, retryable: bool
) -> None:
    result = await worker.send(*paths, **fields)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == (code, retryable)
    assert Shop.got == []


async def test_an_outage_is_worth_another_attempt(worker: Worker) -> None:
    worker.kept.away = 1
    result = await worker.send(("body",), body="{secret.KEY}")
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("unavailable", True)
    assert (await worker.send(("body",), body="{secret.KEY}")).status == "ok"


@pytest.mark.parametrize(
    ("paths", "fields", "code"),
    [
        ([("headers", "x-key"), ("body",)], {"url": "/refuse", "body": "{secret.WEIRD}"}, "http_status"),
        ([("headers", "x-key")], {"url": "/refuse", "headers": {"x-key": "{secret.LINES}"}}, "http_failed"),
        ([("url",)], {"url": "gopher://{secret.KEY}/"}, "http_request_invalid"),
        ([("url",)], {"url": "http://{secret.KEY}.invalid/"}, None),
        ([("url",)], {"url": "http://[{secret.KEY}/"}, None),
    ],
)
async def test_no_error_says_a_value(
    worker: Worker, paths: list[Sequence[str | int]], fields: dict[str, Any], code: str | None
) -> None:
    url = fields.pop("url")
    fields = {"headers": {"x-key": "{secret.KEY}"}, **fields}
    result = await worker.send(*paths, url=f"http://{worker.host}{url}" if url.startswith("/") else url, **fields)
    assert result.error is not None
    assert code is None or result.error.code == code
    said = json.dumps([result.error.message, result.error.details], ensure_ascii=False)
    for value in (KEY, WEIRD, "lines-of-a-value", "quoted"):
        assert value not in said
    if code == "http_status":
        assert "{secret.KEY}" in said
