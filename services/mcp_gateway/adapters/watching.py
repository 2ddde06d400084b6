"""Watching one execution until it ends: its public events say when to look, and what is not heard is seen later."""

import asyncio
import time
from uuid import UUID

from services.mcp_gateway.adapters.workflow_service import WorkflowService
from services.mcp_gateway.app.relay import Relay
from services.mcp_gateway.domain.executions import Standing
from services.mcp_gateway.errors import ServerUnavailable
from services.mcp_gateway.limits import WORKFLOW_LOOK_SECONDS, WORKFLOW_LOOK_SECONDS_MAX, WORKFLOW_PROGRESS_SECONDS
from shared.errors import NotFound


class Watch:
    """Watches one execution; `happened` is set when something is heard of it, and `relay` is told of its progress."""

    def __init__(
        self,
        service: WorkflowService,
        tenant_id: UUID,
        execution_id: UUID,
        happened: asyncio.Event,
        relay: Relay | None,
    ) -> None:
        self._service = service
        self._key = (tenant_id, execution_id)
        self._happened = happened
        self._relay = relay
        self._standing: Standing | None = None

    async def begin(self, moment: float) -> None:
        """Return when it is known to have begun: what starts it may still be on its way.

        Raises `NotFound` if it has not by that moment, and `ServerUnavailable`.
        """
        while self._standing is None:
            self._happened.clear()
            try:
                if (found := await self._service.standing(*self._key)) is not None:
                    self._take(found)
            except NotFound:
                left = moment - time.monotonic()
                if left <= 0:
                    raise
                await _wait(self._happened, min(WORKFLOW_PROGRESS_SECONDS, left))

    async def until(self, moment: float, *, stop_at_waits: bool) -> Standing | None:
        """Return where it stands when it has ended or the moment has come, None if that is not known.

        With `stop_at_waits` also when nothing goes on without somebody outside.
        """
        pause = WORKFLOW_LOOK_SECONDS if self._relay is None else WORKFLOW_PROGRESS_SECONDS
        while True:
            self._happened.clear()
            standing = await self._look()
            _obey()
            if standing is not None and (standing.ended or (stop_at_waits and standing.waits)):
                return standing
            left = moment - time.monotonic()
            if left <= 0:
                return standing
            await _wait(self._happened, min(pause, left))
            pause = min(pause * 1.2, WORKFLOW_LOOK_SECONDS_MAX)

    def _take(self, standing: Standing) -> None:
        known, self._standing = self._standing, standing
        if self._relay is not None and (known is None or known.steps_done != standing.steps_done):
            done, total = standing.steps_done, standing.steps_total
            self._relay.progress(
                done, total, f"{done} steps done" if total is None else f"{done} of {total} steps done"
            )

    async def _look(self) -> Standing | None:
        try:
            found = await self._service.standing(*self._key, 0 if self._standing is None else self._standing.version)
        except (NotFound, ServerUnavailable):
            return self._standing  # it is durable: it will begin, and be seen
        if found is not None:
            self._take(found)
        return self._standing


def _obey() -> None:
    """Give way to a cancellation: a request whose answer comes at the same moment swallows it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _wait(happened: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await happened.wait()
    except TimeoutError:
        return
