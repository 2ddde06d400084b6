"""A thousand executions over NATS while parts of the platform die: started until they are known to have ended."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.eventstore.event import RecordedEvent
from shared.ids import new_id

START_SUBJECT = "commands.workflow.start-execution"
CONCURRENCY = 64
RESEND_S = 3.0
LOOK_S = 0.1
STRIKES = (0.25, 0.5, 0.75)
_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_ENDED = "SELECT id, status FROM workflow.executions WHERE id = ANY($1::uuid[]) AND completed_at IS NOT NULL"
_HISTORIES = """
    SELECT position, tenant_id, stream_id, version, type, data, meta, recorded_at
    FROM workflow.events WHERE stream_id = ANY($1::uuid[]) ORDER BY stream_id, version"""
_ROWS = "SELECT id, status, version FROM workflow.executions WHERE id = ANY($1::uuid[])"


class Start(msgspec.Struct, frozen=True):
    """One execution that is wanted: of which workflow, on what."""

    execution_id: UUID
    workflow: str
    input: dict[str, Any]


class Ledger:
    """What the database says. Its connections may die at any time and are opened again."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[Any] | None = None

    async def statuses(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return the statuses of those that ended; while the database is away, nothing is known of any."""
        try:
            return {row[0]: row[1] for row in await self._fetch(_ENDED, ids)}
        except _AWAY:
            self._connection = None
            return {}

    async def histories(self, ids: Sequence[UUID]) -> dict[UUID, list[RecordedEvent]]:
        found: dict[UUID, list[RecordedEvent]] = {execution_id: [] for execution_id in ids}
        for row in await self._fetch(_HISTORIES, ids):
            found[row["stream_id"]].append(RecordedEvent(*row))
        return found

    async def rows(self, ids: Sequence[UUID]) -> dict[UUID, tuple[str, int]]:
        """Return status and version of each status row."""
        return {row[0]: (row[1], row[2]) for row in await self._fetch(_ROWS, ids)}

    async def open_executions(self) -> int:
        connection = await self._connected()
        return int(await connection.fetchval("SELECT count(*) FROM workflow.executions WHERE completed_at IS NULL"))

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _fetch(self, sql: str, ids: Sequence[UUID]) -> list[Any]:
        return list(await (await self._connected()).fetch(sql, list(ids)))

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._dsn)
        return self._connection


class Storm:
    """Runs starts, `CONCURRENCY` at a time, and calls `strike` when each of these shares of them has ended."""

    def __init__(self, client: Client, tenant_id: UUID, ledger: Ledger, strike: Callable[[], None]) -> None:
        self._client = client
        self._tenant_id = tenant_id
        self._ledger = ledger
        self._strike = strike
        self._waiting: dict[UUID, asyncio.Future[str]] = {}
        self.statuses: dict[UUID, str] = {}
        self.sent_again = 0

    async def run(self, starts: Sequence[Start]) -> None:
        left = iter(starts)
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look(len(starts)))
            await asyncio.gather(*(self._starter(left) for _ in range(CONCURRENCY)))
            looking.cancel()

    async def _starter(self, left: Iterator[Start]) -> None:
        for start in left:
            ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            self._waiting[start.execution_id] = ended
            await self._send(start)
            while start.execution_id not in self.statuses:
                done, _ = await asyncio.wait([ended], timeout=RESEND_S)
                if not done:
                    # Whether it is lost or late cannot be seen from here: a start that comes twice starts once.
                    self.sent_again += 1
                    await self._send(start)

    async def _send(self, start: Start) -> None:
        command = {
            "execution_id": start.execution_id,
            "tenant_id": self._tenant_id,
            "workflow": start.workflow,
            "input": start.input,
            "actor": "service:chaos",
        }
        try:
            await self._client.jetstream().publish(START_SUBJECT, msgspec.json.encode([command]), timeout=RESEND_S)
        except (NatsError, TimeoutError):
            return  # it is sent again when nothing was heard of it

    async def _look(self, wanted: int) -> None:
        strikes = deque(math.ceil(share * wanted) for share in STRIKES)
        while True:
            for execution_id, status in (await self._ledger.statuses(list(self._waiting))).items():
                self.statuses[execution_id] = status
                self._waiting.pop(execution_id).set_result(status)
            if strikes and len(self.statuses) >= strikes[0]:
                strikes.popleft()
                self._strike()
            await asyncio.sleep(LOOK_S)


def starts(count: int, workflows: Sequence[str], inputs: dict[str, Any]) -> list[Start]:
    """Return starts that take turns through the workflows; each has a number of its own in its input."""
    return [Start(new_id(), workflows[n % len(workflows)], {**inputs, "n": n}) for n in range(count)]
