"""Workers of tasks: they do one after a while, well or not, twice, late or never, and say meanwhile that they are."""

import asyncio
from typing import Any

import msgspec

from shared.bus.tasks import HEARTBEAT_S, Task, TaskError, TaskResult, result_subject
from tests.simulation.world import World

_encode = msgspec.json.encode


class Workers:
    """All workers that are no part of the service. What they hold and remember is lost when they are killed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._held: set[str] = set()
        self._remembered: dict[str, bytes] = {}
        self._generation = 0
        self._done = 0
        self.publish: Any = None

    def take(self, task: Task) -> None:
        """Begin a task, unless it is being done; answer from memory what was done."""
        if task.task_id in self._held:
            return
        known = self._remembered.get(task.task_id)
        if known is not None:
            self.publish(result_subject(task.partition), known)
            return
        self._held.add(task.task_id)
        self._world.spawn(self._do(task, self._generation))

    def crash(self) -> None:
        """Lose everything."""
        self._generation += 1
        self._held.clear()
        self._remembered.clear()
        self._world.note("the workers crash")

    async def _do(self, task: Task, generation: int) -> None:
        world, weather = self._world, self._world.weather
        world.effects[task.task_id] += 1
        world.note(f"a worker does {world.short(task.execution_id)} {task.step_path} {task.attempt}")
        silent = weather.hits(weather.worker_silent)
        seconds = world.random.expovariate(4.0)
        if weather.hits(weather.worker_slow):
            seconds = world.random.uniform(1.0, 8.0)
        while seconds > HEARTBEAT_S:
            await asyncio.sleep(HEARTBEAT_S)
            seconds -= HEARTBEAT_S
            if generation != self._generation:
                return
            if not silent:
                self._answer(task, TaskResult(task.execution_id, task.step_path, task.attempt, "running"))
        await asyncio.sleep(seconds)
        if generation != self._generation:
            return
        self._held.discard(task.task_id)
        if silent and world.random.random() < 0.5:
            return  # it never answers, and knows nothing of it when it is asked again
        result = self._result(task)
        encoded = self._answer(task, result)
        if result.error is None or result.error.code != "unavailable":
            self._remembered[task.task_id] = encoded

    def _result(self, task: Task) -> TaskResult:
        world, weather = self._world, self._world.weather
        self._done += 1
        if weather.hits(weather.worker_fails):
            code, retryable = world.random.choice((("tool_error", True), ("tool_error", False), ("unavailable", True)))
            error = TaskError(code, f"It broke for the {self._done}th time.", retryable=retryable)
            world.answers[task.task_id].append(error.message)
            return TaskResult(task.execution_id, task.step_path, task.attempt, "error", error=error)
        output = {"ok": world.random.random() < 0.6, "n": self._done}
        world.answers[task.task_id].append(output)
        return TaskResult(task.execution_id, task.step_path, task.attempt, "ok", output)

    def _answer(self, task: Task, result: TaskResult) -> bytes:
        encoded = b"[" + _encode(result) + b"]"
        self.publish(result_subject(task.partition), encoded)
        return encoded
