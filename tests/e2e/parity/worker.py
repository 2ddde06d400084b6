"""A worker as any language could have it: a NATS client, JSON, and the protocol of tasks."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

Task = dict[str, Any]
Answer = Callable[[Task], Awaitable[Any]]
LIST_MAX = 64


class Broken(Exception):
    """The worker cannot do a task; its `code` is the error's."""

    def __init__(self, code: str = "agent_failed", *, retryable: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.retryable = retryable


class Worker:
    """Hears one subject in a queue group and does what the test says: `answer` is called for each task, once.

    A task that is held says each second that it is running. `asked` has the step paths in the order in which they came,
    `at_once` how many tasks an execution had here at the same time at most.
    """

    def __init__(self, client: Client, subject: str, queue: str, answer: Answer) -> None:
        self._client = client
        self._subject = subject
        self._queue = queue
        self._work: dict[str, asyncio.Task[None]] = {}
        self._open: Counter[str] = Counter()
        self._results: dict[int, list[dict[str, Any]]] = {}
        self.answer = answer
        self.tasks: list[Task] = []
        self.at_once: Counter[str] = Counter()

    async def start(self) -> None:
        self._subscription = await self._client.subscribe(self._subject, queue=self._queue, cb=self._on_message)
        await self._client.flush()

    async def stop(self) -> None:
        await self._subscription.unsubscribe()
        for work in list(self._work.values()):
            work.cancel()
        await asyncio.gather(*self._work.values(), return_exceptions=True)

    def asked(self, execution: str | None = None) -> list[str]:
        return [task["step_path"] for task in self.tasks if execution in {None, task["execution_id"]}]

    def payloads(self, execution: str) -> list[dict[str, Any]]:
        return [task["payload"] for task in self.tasks if task["execution_id"] == execution]

    async def _on_message(self, message: Msg) -> None:
        for task in json.loads(message.data):
            if task["task_id"] not in self._work:  # what comes again is worked on, or was answered
                self.tasks.append(task)
                self._work[task["task_id"]] = asyncio.create_task(self._do(task))

    async def _do(self, task: Task) -> None:
        execution = task["execution_id"]
        self._open[execution] += 1
        self.at_once[execution] = max(self.at_once[execution], self._open[execution])
        beating = asyncio.create_task(self._beat(task))
        try:
            result: dict[str, Any] = {"status": "ok", "output": await self.answer(task)}
        except Broken as error:
            said = {"code": error.code, "message": "The worker cannot do it.", "retryable": error.retryable}
            result = {"status": "error", "error": said}
        finally:
            beating.cancel()
            self._open[execution] -= 1
        await self._say(task, result)

    async def _beat(self, task: Task) -> None:
        while True:
            await asyncio.sleep(1)
            await self._say(task, {"status": "running"})

    async def _say(self, task: Task, result: dict[str, Any]) -> None:
        """Publish a result, together with what else is ready in this turn of the loop."""
        named = {name: task[name] for name in ("execution_id", "step_path", "attempt")}
        waiting = self._results.setdefault(task["partition"], [])
        waiting.append({**named, **result})
        if len(waiting) == 1:
            await asyncio.sleep(0)
            ready = self._results.pop(task["partition"])
            for at in range(0, len(ready), LIST_MAX):
                body = json.dumps(ready[at : at + LIST_MAX]).encode()
                await self._client.publish(f"results.{task['partition']}", body)
