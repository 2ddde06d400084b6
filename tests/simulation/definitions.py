"""Random definitions: steps of every type, nested, with retries, `on_error`, `compensate`, time limits, conditions."""

from functools import lru_cache
from random import Random
from typing import Any

from services.workflow.domain.language.errors import DefinitionInvalid
from services.workflow.domain.language.program import Program
from tests.unit.workflow_engine.scenario import (
    approval,
    conditional,
    delay,
    foreach,
    loop,
    parallel,
    program_of,
    tool,
    transform,
    wait,
)

POOL = 80
"""Definitions that so many seeds share: compiling one costs more than running it."""
SEEDS_A_POOL = 1_000
LONG_S = 3_600
CHILDREN = ("w1", "w2", "none")

Steps = list[dict[str, Any]]


def programs_of(seed: int, random: Random) -> list[Program]:
    """Return the definitions of one run: w0 is started, and may run w1, which may run w2."""
    pool = seed // SEEDS_A_POOL * POOL
    return [_program(pool + random.randrange(POOL), level) for level in range(3)]


@lru_cache(maxsize=4 * POOL)
def _program(number: int, level: int) -> Program:
    random = Random(number * 3 + level)
    while True:
        writer = Writer(random, level)
        try:
            return program_of(writer.steps(2 if level == 0 else 1, 4 - level), **writer.limits())
        except DefinitionInvalid:
            continue  # a reference to what cannot be seen there: the next one is drawn


class Writer:
    """Writes one definition. Names are unique; templates see the input and the item they are in."""

    def __init__(self, random: Random, level: int) -> None:
        self._random = random
        self._level = level
        self._names = 0
        self._seen: list[str] = []

    def limits(self) -> dict[str, Any]:
        return {"timeout_seconds": self._random.choice((LONG_S, LONG_S, LONG_S, LONG_S, 15))}

    def steps(self, depth: int, most: int, *, simple: bool = False) -> Steps:
        return [self.step(depth, simple=simple) for _ in range(self._random.randint(1, most))]

    def step(self, depth: int, *, simple: bool = False) -> dict[str, Any]:
        random, name = self._random, self._name()
        kinds = ["tool"] * 4 + ["transform", "delay", "emit"]
        if not simple:
            kinds += ["wait", "approval", *(["workflow"] * 2 if self._level < 2 else [])]
            kinds += ["parallel", "parallel", "conditional", "switch", "foreach", "loop"] if depth else []
        kind = random.choice(kinds)
        seen = list(self._seen)
        fields = {} if simple else self._fields(kind)
        self._seen = list(seen)
        made: dict[str, Any] = getattr(self, f"_{kind}")(name, depth - 1, fields)
        self._seen = [*seen, name] if kind in {"tool", "transform"} else seen
        return made

    def _name(self) -> str:
        self._names += 1
        return f"s{self._names}"

    def _fields(self, kind: str) -> dict[str, Any]:
        random, fields = self._random, dict[str, Any]()
        luck = random.random()
        if luck < 0.15:
            fields["on_error"] = "continue"
        elif luck < 0.35:
            fields["on_error"] = self.steps(0, 2, simple=random.random() < 0.7)
        if random.random() < 0.25:
            fields["compensate"] = self.steps(0, 2, simple=random.random() < 0.8)
        if random.random() < 0.1:
            fields["when"] = random.choice(("$.input.yes", "$.input.no"))
        if random.random() < 0.15 and kind not in {"transform", "emit"}:
            fields["timeout_seconds"] = random.choice((2, 6))
        return fields

    def _value(self) -> Any:
        choices = [1, "{input.list}", "{execution.id}", *(f"{{{name} | default(0)}}" for name in self._seen[-2:])]
        return self._random.choice(choices)

    def _condition(self) -> str:
        return self._random.choice(("$.input.yes", "$.input.no", *(f"$.{name}.ok == true" for name in self._seen[-1:])))

    def _tool(self, name: str, _: int, fields: dict[str, Any]) -> dict[str, Any]:
        policy = {"max_attempts": self._random.randint(1, 3), "initial_interval_ms": self._random.choice((20, 900))}
        fields = {"timeout_seconds": LONG_S} | fields
        return tool(name, {"x": self._value()}, retry=policy, **fields)

    def _transform(self, name: str, _: int, fields: dict[str, Any]) -> dict[str, Any]:
        return transform(name, self._random.choice([{"ok": True, "v": self._value()}, "{input.list[7]}"]), **fields)

    def _delay(self, name: str, _: int, fields: dict[str, Any]) -> dict[str, Any]:
        return delay(name, self._random.choice((0, 0.05, 3)), **fields)

    def _emit(self, name: str, _: int, fields: dict[str, Any]) -> dict[str, Any]:
        return {"type": "emit", "name": name, "subject": "orders.paid", "input": {"v": self._value()}, **fields}

    def _wait(self, name: str, _: int, fields: dict[str, Any]) -> dict[str, Any]:
        return wait(name, self._random.choice(("go", "go", "stop")), **self._until(fields))

    def _approval(self, name: str, _: int, fields: dict[str, Any]) -> dict[str, Any]:
        return approval(name, **self._until(fields))

    def _until(self, fields: dict[str, Any]) -> dict[str, Any]:
        if "timeout_seconds" in fields and self._random.random() < 0.6:
            return {**fields, "on_timeout": self.steps(0, 2, simple=True)}
        return fields

    def _workflow(self, name: str, _: int, fields: dict[str, Any]) -> dict[str, Any]:
        child = CHILDREN[self._level] if self._random.random() < 0.9 else "w9"
        policy = {"max_attempts": self._random.randint(1, 2), "initial_interval_ms": 20}
        return {"type": "workflow", "name": name, "workflow": child, "input": "{input}", "retry": policy, **fields}

    def _parallel(self, name: str, depth: int, fields: dict[str, Any]) -> dict[str, Any]:
        seen, inner = self._seen, Steps()
        for _ in range(self._random.randint(1, 3)):
            self._seen = seen
            inner.append(self.step(depth))
        count = self._random.randint(1, len(inner))
        return parallel(name, *inner, wait_for=self._random.choice(("all", "all", "any", f"count:{count}")), **fields)

    def _conditional(self, name: str, depth: int, fields: dict[str, Any]) -> dict[str, Any]:
        seen, condition = self._seen, self._condition()
        then = self.steps(depth, 2)
        self._seen = seen
        return conditional(
            name, condition, then, self.steps(depth, 2) if self._random.random() < 0.5 else None, **fields
        )

    def _switch(self, name: str, depth: int, fields: dict[str, Any]) -> dict[str, Any]:
        seen, red = self._seen, self.steps(depth, 2)
        self._seen = seen
        branches = {"red": red, "blue": self.steps(depth, 1)}
        return {"type": "conditional", "name": name, "switch": "{input.colour}", "branches": branches, **fields}

    def _foreach(self, name: str, depth: int, fields: dict[str, Any]) -> dict[str, Any]:
        items = self._random.choice(([1, 2, 3], "{input.list}", [1], []))
        steps, width = self.steps(depth, 2), self._random.randint(1, 3)
        return foreach(name, items, *steps, max_concurrency=width, **{"as": f"{name}_item"}, **fields)

    def _loop(self, name: str, depth: int, fields: dict[str, Any]) -> dict[str, Any]:
        steps, most = self.steps(depth, 2), self._random.randint(1, 3)
        return loop(name, self._condition(), *steps, max_iterations=most, **{"as": f"{name}_turn"}, **fields)
