"""`Prefer: wait=N`: who waits for an execution is told of its end as soon as that is recorded."""

import asyncio
import logging
from collections import defaultdict
from typing import Self
from uuid import UUID

from services.workflow.app.ports import OUTAGES, ExecutionReads
from shared.ids import new_id
from shared.scope import TenantScope
from shared.tail.waker import Waker

_log = logging.getLogger(__name__)


class Endings:
    """Looks at the status rows of those that somebody waits for, each time that public events were committed."""

    def __init__(self, executions: ExecutionReads, waker: Waker) -> None:
        self._executions = executions
        self._waker = waker
        self._waiting: dict[UUID, Expected] = {}

    def expect(self, scope: TenantScope, execution_id: UUID) -> "Expected":
        """Return something to wait on; begin before the execution does, so that no end is missed."""
        return Expected(self._waiting, scope, execution_id)

    async def run(self) -> None:
        """Look until cancelled."""
        with self._waker.listener(facts=True) as listener:
            while True:
                await listener.wait()
                if self._waiting:
                    try:
                        await self._look()
                    except OUTAGES as error:
                        _log.warning("ends cannot be looked for: %s", error)

    async def _look(self) -> None:
        by_tenant: dict[UUID, list[Expected]] = defaultdict(list)
        for expected in self._waiting.values():
            by_tenant[expected.scope.tenant_id].append(expected)
        for waiting in by_tenant.values():
            ids = list({expected.execution_id for expected in waiting})
            ended = set(await self._executions.ended(waiting[0].scope, ids))
            for expected in waiting:
                if expected.execution_id in ended:
                    expected.tell()


class Expected:
    """Waits for one end. Use as a context manager."""

    def __init__(self, waiting: "dict[UUID, Expected]", scope: TenantScope, execution_id: UUID) -> None:
        self.scope = scope
        self.execution_id = execution_id
        self._waiting = waiting
        self._key = new_id()
        self._ended = asyncio.Event()

    def __enter__(self) -> Self:
        self._waiting[self._key] = self
        return self

    def __exit__(self, *_: object) -> None:
        del self._waiting[self._key]

    def tell(self) -> None:
        """Say that it ended."""
        self._ended.set()

    async def wait(self, seconds: float) -> bool:
        """Return whether the end came within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True
