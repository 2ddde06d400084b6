"""One connection each: what is sent for a call, and when an answer is whole and right.

A request is made ahead and only its number is filled in. Every call adds 1 to a number that no other call has, so that
an answer can be nobody else's.
"""

import base64
import os
import re
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import nkeys

from bench.calls.spec import Load

_NUMBER = b"7654321"  # stands for the number where a request is made ahead; of the same length, so sizes stay right
_FIRST = 1_000_000
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SESSION = re.compile(rb"mcp-session-id: *(\S+)", re.IGNORECASE)
_RESULT = re.compile(rb'"result": ?(\d+) ?\}')
_READ = 1 << 20
_OK = (b"HTTP/1.1 200", b"HTTP/1.1 202")
_NOT_FOUND = b"HTTP/1.1 404"
_CLIENT = {"name": "bench", "version": "1"}
_MODERN = "2026-07-28"
_META = {
    "io.modelcontextprotocol/protocolVersion": _MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": _CLIENT,
}


class WrongAnswer(Exception):
    """An answer is there, and it is not the sum that was asked for."""


class NotServed(Exception):
    """Nobody answers at this address or path."""


class Connection(ABC):
    """Asks and hears. `take` returns the numbers of what was answered; `calls` belong to each."""

    calls = 1

    def __init__(self) -> None:
        self._next = _FIRST
        self._buffer = b""

    @property
    @abstractmethod
    def descriptor(self) -> int:
        """What can be read when something came."""

    @abstractmethod
    def ask(self) -> int:
        """Send a request and return its number."""

    @abstractmethod
    def take(self) -> list[int]:
        """Read what is there. Raises `WrongAnswer`, whose last argument is the number, and `ConnectionError`."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    def _number(self) -> int:
        self._next += self.calls
        return self._next - self.calls


class StdioConnection(Connection):
    """A server process of its own; any number of calls may be under way."""

    def __init__(self, load: Load) -> None:
        super().__init__()
        upstream = str(Path(__file__).with_name("upstream.py"))
        self._process = subprocess.Popen([sys.executable, upstream], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.write(self._in, msgspec.json.encode(_initialize(0)) + b"\n")
        os.read(self._out, _READ)
        os.write(self._in, b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        self._line = msgspec.json.encode(_call(load.tool, modern=False)) + b"\n"

    @property
    def descriptor(self) -> int:
        return self._out

    def ask(self) -> int:
        number = self._number()
        os.write(self._in, self._line.replace(_NUMBER, b"%d" % number))
        return number

    def take(self) -> list[int]:
        data = os.read(self._out, _READ)
        if not data:
            raise ConnectionError("the server ended")
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [_checked(line, int(msgspec.json.decode(line)["id"])) for line in lines]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class HttpConnection(Connection):
    """One call at a time on a connection that is kept."""

    def __init__(self, load: Load) -> None:
        super().__init__()
        self._socket = _connect(load.address)
        self._asked = 0
        headers = {
            "Host": "localhost",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if load.credential:
            headers["Authorization"] = f"Bearer {load.credential}"
        if load.wire == "rest":
            body = {"server_id": load.server, "tool_name": load.tool, "tool_input": {"a": int(_NUMBER), "b": 1}}
            self._request = _post(load.path, headers, body)
            return
        if load.wire == "handshake":
            answer = self._exchange(_post(load.path, headers, _initialize(0)))
            if session := _SESSION.search(answer):
                headers["Mcp-Session-Id"] = session[1].decode()
            headers["MCP-Protocol-Version"] = "2025-11-25"
            self._exchange(_post(load.path, headers, {"jsonrpc": "2.0", "method": "notifications/initialized"}))
        else:
            headers |= {"MCP-Protocol-Version": _MODERN, "Mcp-Method": "tools/call", "Mcp-Name": load.tool}
        self._request = _post(load.path, headers, _call(load.tool, modern=load.wire == "modern"))

    @property
    def descriptor(self) -> int:
        return self._socket.fileno()

    def ask(self) -> int:
        self._asked = self._number()
        self._socket.sendall(self._request.replace(_NUMBER, b"%d" % self._asked))
        return self._asked

    def take(self) -> list[int]:
        answer = self._read()
        if answer is None:
            return []
        if answer.startswith(_NOT_FOUND):
            raise NotServed(answer[:300].decode("latin-1"))
        if not answer.startswith(_OK[0]):
            raise WrongAnswer(answer[:300].decode("latin-1"), self._asked)
        return [_checked(answer, self._asked)]

    def close(self) -> None:
        self._socket.close()

    def _exchange(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        while (answer := self._read()) is None:
            pass
        if not answer.startswith(_OK):
            raise NotServed(answer[:300].decode("latin-1"))
        return answer

    def _read(self) -> bytes | None:
        """Return the answer once it is whole."""
        data = self._socket.recv(_READ)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = _LENGTH.search(self._buffer, 0, head + 2)
        if length is None:
            whole = b"chunked" not in self._buffer[:head].lower() or self._buffer.endswith(b"0\r\n\r\n")
        else:
            whole = len(self._buffer) >= head + 4 + int(length[1])
        if not whole:
            return None
        answer, self._buffer = self._buffer, b""
        return answer


class NatsConnection(Connection):
    """Tasks with a reply subject, in lists; any number of lists may be under way."""

    def __init__(self, load: Load) -> None:
        super().__init__()
        self.calls = load.in_list
        self._socket = _connect(load.address)
        self._join(load.credential)
        self._prefix = f"_INBOX_operator.{uuid4().hex}."
        self._socket.sendall(f"SUB {self._prefix}* 1\r\n".encode())
        self._tasks = [_task(load) for _ in range(load.in_list)]
        self._size = sum(map(len, self._tasks)) + len(self._tasks) + 1

    @property
    def descriptor(self) -> int:
        return self._socket.fileno()

    def ask(self) -> int:
        first = self._number()
        tasks = [task.replace(_NUMBER, b"%d" % (first + place)) for place, task in enumerate(self._tasks)]
        head = f"PUB commands.mcp.execute-tool {self._prefix}{first} {self._size}\r\n[".encode()
        self._socket.sendall(head + b",".join(tasks) + b"]\r\n")
        return first

    def take(self) -> list[int]:
        data = self._socket.recv(_READ)
        if not data:
            raise ConnectionError("NATS closed the connection")
        self._buffer += data
        answered = []
        while (end := self._buffer.find(b"\r\n")) >= 0:
            line = self._buffer[:end]
            if not line.startswith(b"MSG "):
                if line == b"PING":
                    self._socket.sendall(b"PONG\r\n")
                elif line.startswith(b"-ERR"):
                    raise ConnectionError(line.decode())
                self._buffer = self._buffer[end + 2 :]
                continue
            words = line.split(b" ")
            whole = end + 2 + int(words[-1]) + 2
            if len(self._buffer) < whole:
                break
            answer, self._buffer = self._buffer[end + 2 : whole], self._buffer[whole:]
            answered.append(self._checked(answer, int(words[1].rpartition(b".")[2])))
        return answered

    def close(self) -> None:
        self._socket.close()

    def _checked(self, answer: bytes, first: int) -> int:
        sums = [int(found) for found in _RESULT.findall(answer)]
        if answer.count(b'"status":"ok"') != self.calls or sums != list(range(first + 1, first + 1 + self.calls)):
            raise WrongAnswer(answer[:300].decode("latin-1"), first)
        return first

    def _join(self, seed: str) -> None:
        said = b""
        while b"\r\n" not in said:
            said += self._socket.recv(_READ)
        nonce = msgspec.json.decode(said.partition(b"\r\n")[0].removeprefix(b"INFO "))["nonce"]
        key = nkeys.from_seed(bytearray(seed.encode()))
        signature = base64.urlsafe_b64encode(key.sign(nonce.encode())).rstrip(b"=").decode()
        options = {
            "verbose": False, "pedantic": False, "lang": "bench", "version": "1", "protocol": 1,
            "nkey": key.public_key.decode(), "sig": signature,
        }  # fmt: skip
        self._socket.sendall(b"CONNECT " + msgspec.json.encode(options) + b"\r\nPING\r\n")
        said = b""
        while b"PONG\r\n" not in said:
            said += self._socket.recv(_READ)
            if b"-ERR" in said or not said:
                raise ConnectionError(said.decode())


def connections(load: Load) -> list[tuple[Connection, int]]:
    """Open what a load needs, each with how many requests are under way on it at a time."""
    if load.wire == "stdio":
        return [(StdioConnection(load), load.width)]
    if load.wire == "nats":
        return [(NatsConnection(load), max(1, load.width // load.in_list))]
    return [(HttpConnection(load), 1) for _ in range(load.width)]


def _checked(answer: bytes, number: int) -> int:
    found = _RESULT.findall(answer)
    if not found or int(found[0]) != number + 1:
        raise WrongAnswer(answer[:300].decode("latin-1"), number)
    return number


def _connect(address: str) -> socket.socket:
    try:
        if address.startswith("/"):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(address)
            return connection
        host, _, port = address.rpartition(":")
        connection = socket.create_connection((host, int(port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise NotServed(f"{address}: {error}") from error
    return connection


def _post(path: str, headers: dict[str, str], body: object) -> bytes:
    text = msgspec.json.encode(body)
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(text)}"]).encode() + b"\r\n\r\n" + text


def _initialize(request_id: int) -> dict[str, object]:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": _CLIENT}
    return {"jsonrpc": "2.0", "id": request_id, "method": "initialize", "params": params}


def _call(tool: str, *, modern: bool) -> dict[str, object]:
    params: dict[str, object] = {"name": tool, "arguments": {"a": int(_NUMBER), "b": 1}}
    if modern:
        params["_meta"] = _META
    return {"jsonrpc": "2.0", "id": int(_NUMBER), "method": "tools/call", "params": params}


def _task(load: Load) -> bytes:
    """Return a task whose execution is named by its number, among those of this process."""
    execution = str(UUID(int=(uuid4().int >> 48) << 48))[:-12] + "00000" + _NUMBER.decode()
    return msgspec.json.encode(
        {
            "task_id": f"{execution}/s/1",
            "tenant_id": load.tenant_id,
            "execution_id": execution,
            "step_path": "s",
            "attempt": 1,
            "partition": 0,
            "deadline_ms": int((time.time() + 600) * 1000),
            "payload": {
                "server_id": load.server,
                "tool_name": load.tool,
                "arguments": {"a": int(_NUMBER), "b": 1},
            },
        }
    )
