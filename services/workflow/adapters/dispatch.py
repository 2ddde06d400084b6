"""Tasks to workers, over core NATS: a list a message, many messages a flush, no waiting for answers."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.bus.envelope import encode_item, pack
from shared.bus.tasks import Task
from shared.errors import PlatformError

_log = logging.getLogger(__name__)

# Which worker does which type of step.
SUBJECTS = {"mcp_tool": "commands.mcp.execute-tool", "http": "commands.workflow.http-request"}


class NatsDispatch:
    """`Dispatch` over the service's connection."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client

    async def send(self, tasks: Sequence[tuple[str, Task]]) -> None:
        """Publish. While the server is away nothing is sent: what is not heard of is sent again later."""
        try:
            await self._publish(tasks)
        except (NatsError, PlatformError) as error:
            _log.warning("%d tasks are sent again later: %r", len(tasks), error)

    async def _publish(self, tasks: Sequence[tuple[str, Task]]) -> None:
        client = self._client()
        if not client.is_connected:
            return
        by_subject: dict[str, list[bytes]] = defaultdict(list)
        for type_, task in tasks:
            by_subject[SUBJECTS[type_]].append(encode_item(task))
        for subject, items in by_subject.items():
            for body in pack(items):
                await client.publish(subject, body)
