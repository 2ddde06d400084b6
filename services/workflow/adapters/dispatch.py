"""Tasks to workers, over core NATS: a list a message, many messages a flush, no waiting for answers."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.workflow.app.family import CANCEL_CHILD, Orphan
from shared.bus.envelope import encode_item, pack
from shared.bus.tasks import Task, TaskResult, partition_of, result_subject
from shared.errors import PlatformError

_log = logging.getLogger(__name__)

# Which worker does which type of step.
SUBJECTS = {
    "mcp_tool": "commands.mcp.execute-tool",
    "http": "commands.workflow.http-request",
    "agent": "commands.agent.run-task",
    "rag_query": "commands.rag.run-query",
    "workflow": "commands.workflow.run-child",
}


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

    async def tell_family(self, ends: Sequence[TaskResult], orphans: Sequence[Orphan]) -> None:
        """Publish. What is lost is asked for again, by the parent's lease and by the child's look at its parent."""
        try:
            client = self._client()
            if client.is_connected:
                by_partition: dict[int, list[bytes]] = defaultdict(list)
                for end in ends:
                    by_partition[partition_of(end.execution_id)].append(encode_item(end))
                for partition, items in by_partition.items():
                    for body in pack(items):
                        await client.publish(result_subject(partition), body)
                for body in pack([encode_item(orphan) for orphan in orphans]):
                    await client.publish(CANCEL_CHILD, body)
        except (NatsError, PlatformError) as error:
            _log.warning("parents and children of executions are told later: %r", error)

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
