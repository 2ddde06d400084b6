"""An SQLite file for reading, by processes that are killed when one step takes too long.

SQLite can be interrupted between its steps only, and one step can be long: `instr` of two texts of a megabyte takes ten
seconds, `trim` and `json_patch` more.
"""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

import services
from services.mcp_gateway.limits import (
    DATABASE_CALL_SECONDS,
    DATABASE_CONNECTIONS_MAX,
    DATABASE_STATEMENT_SECONDS,
)
from services.mcp_gateway.servers.database.sqlite_reading import took_too_long
from services.mcp_gateway.servers.database.turns import Turns
from services.mcp_gateway.servers.tools import ToolRefused

_INTEGER_MAX = 2**63 - 1


class Worker:
    """A process that reads the file, one call at a time. Lines of JSON go both ways."""

    def __init__(self, path: Path) -> None:
        root = Path(services.__path__[0]).parent
        process = subprocess.Popen(
            [sys.executable, "-m", "services.mcp_gateway.servers.database.sqlite_worker", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("both are pipes, as asked for above")
        self._process, self._requests, self._answers = process, process.stdin, process.stdout

    def ask(self, request: bytes) -> bytes:
        """Return the answer to a request, or nothing if the process has ended. Blocks."""
        line = b""
        with suppress(BrokenPipeError):
            self._requests.write(request + b"\n")
            self._requests.flush()
            line = self._answers.readline()
        if not line:
            self._answers.close()
        return line

    def kill(self) -> None:
        """End the process at once. Whoever waits for an answer gets none."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._requests.close()

    def close(self) -> None:
        """End a process that nobody waits for."""
        self.kill()
        self._answers.close()


class Sqlite:
    """A `Database` in a file, which is opened anew for each call."""

    kind = "SQLite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(DATABASE_CONNECTIONS_MAX, thread_name_prefix="sqlite")
        self._turns = Turns()
        self._idle: list[Worker] = []

    def close(self) -> None:
        for worker in self._idle:
            worker.close()
        self._threads.shutdown(wait=False)

    async def query(self, sql: str, parameters: list[Any], max_rows: int) -> dict[str, Any]:
        result: dict[str, Any] = await self._ask("query", sql, [_argument(value) for value in parameters], max_rows)
        return result

    async def tables(self, schema: str | None) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = await self._ask("tables", schema, None)
        return result

    async def columns(self, schema: str | None, table: str | None) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = await self._ask("columns", schema, table)
        return result

    async def _ask(self, what: str, *arguments: Any) -> Any:
        async with self._turns.one():
            request = msgspec.json.encode((what, DATABASE_STATEMENT_SECONDS, arguments))
            answer = await self._answer(self._idle.pop() if self._idle else Worker(self._path), request)
        if "refused" in answer:
            raise ToolRefused(*answer["refused"])
        return answer["result"]

    async def _answer(self, worker: Worker, request: bytes) -> dict[str, Any]:
        try:
            async with asyncio.timeout(DATABASE_CALL_SECONDS):
                line = await asyncio.get_running_loop().run_in_executor(self._threads, worker.ask, request)
        except BaseException as error:
            worker.kill()
            if isinstance(error, TimeoutError):
                raise took_too_long() from None
            raise
        if not line:
            worker.kill()
            raise ToolRefused("query_failed", "The statement needs more than it may have. Read less.")
        self._idle.append(worker)
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer


def _argument(value: Any) -> Any:
    if value is None or isinstance(value, str | float | bool):
        return value
    if isinstance(value, int) and -_INTEGER_MAX - 1 <= value <= _INTEGER_MAX:
        return value
    raise ToolRefused(
        "parameters_invalid", "Parameters for SQLite are text, numbers of up to 64 bits, true, false or null."
    )
