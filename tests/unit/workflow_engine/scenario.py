"""given / when / then for `decide`: a definition, what it is told, and what is recorded of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain import commands as c
from services.workflow.domain.decide import decide
from services.workflow.domain.events import (
    EXECUTION_EVENTS,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    StepCompleted,
    StepFailed,
    StepScheduled,
    StepWaited,
)
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import Program, compile_program
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.step_error import StepError
from services.workflow.limits import MAX_DECISION_EVENTS
from shared.eventstore.catalogue import DomainEvent

EXECUTION = UUID(int=1)
TENANT = UUID(int=2)
WORKFLOW = UUID(int=3)
BEGIN = 1_000_000


def tool(name: str, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """Return a step that a worker does; without retries unless it says so."""
    fields = {"max_retries": 0} | fields if "retry" not in fields else fields
    return {
        "type": "mcp_tool", "name": name, "server_id": "s", "tool_name": "t", "input": arguments or {}, **fields
    }  # fmt: skip


def transform(name: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "transform", "name": name, "input": value, **fields}


def parallel(name: str, *steps: dict[str, Any], wait_for: str = "all", **fields: Any) -> dict[str, Any]:
    return {"type": "parallel", "name": name, "steps": list(steps), "wait_for": wait_for, **fields}


def conditional(name: str, condition: str, if_true: Any, if_false: Any = None, **fields: Any) -> dict[str, Any]:
    branches = {"if_true": if_true} | ({} if if_false is None else {"if_false": if_false})
    return {"type": "conditional", "name": name, "condition": condition, **branches, **fields}


def delay(name: str, seconds: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "delay", "name": name, "seconds": seconds, **fields}


def foreach(name: str, items: Any, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "foreach", "name": name, "items": items, "steps": list(steps), **fields}


def loop(name: str, condition: str, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "loop", "name": name, "condition": condition, "steps": list(steps), **fields}


def wait(name: str, event: str = "go", **fields: Any) -> dict[str, Any]:
    return {"type": "wait_for_event", "name": name, "event": event, **fields}


def approval(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "approval", "name": name, **fields}


def program_of(steps: Sequence[dict[str, Any]], **fields: Any) -> Program:
    return compile_program(parse_definition({"name": "A workflow", "steps": list(steps), **fields}))


def folded(events: Sequence[DomainEvent]) -> ExecutionState:
    """Return the state of an execution that is loaded: its events as they are stored, one after another."""
    state = ExecutionState(EXECUTION, TENANT)
    for event in events:
        evolve(state, EXECUTION_EVENTS.decode(event.TYPE, EXECUTION_EVENTS.encode(event)))
    return state


def plain(state: ExecutionState) -> Any:
    """Return a state as values that can be compared, in the order in which they came to be."""
    return msgspec.to_builtins(state)


class Scenario:
    """One execution. Time stands still but for `at` (milliseconds since its start)."""

    def __init__(self, program: Program, input_: Any = None) -> None:
        self.program = program
        self.state = ExecutionState(EXECUTION, TENANT)
        self.events: list[DomainEvent] = []
        self.told: list[c.Command] = []
        self.new: list[DomainEvent] = []
        self._now = BEGIN
        self.tell(c.Start(BEGIN, WORKFLOW, 1, {} if input_ is None else input_, {"who": "test"}))

    def tell(self, command: c.Command) -> "Scenario":
        self.new = self._tell(command)
        while len(self.new) >= MAX_DECISION_EVENTS and (more := self._tell(c.Wake(self._now))):
            self.new += more
        return self

    def _tell(self, command: c.Command) -> list[DomainEvent]:
        self.told.append(command)
        new = decide(self.state, self.program, command)
        self.events += new
        return new

    def at(self, milliseconds: int) -> "Scenario":
        self._now = BEGIN + milliseconds
        return self

    def done(self, path: str, output: Any = None, attempt: int = 1) -> "Scenario":
        return self.tell(c.CompleteTask(self._now, path, attempt, output))

    def failed(self, path: str, code: str = "tool_error", attempt: int = 1, *, retryable: bool = True) -> "Scenario":
        return self.tell(c.FailTask(self._now, path, attempt, StepError(code, "It broke.", retryable=retryable)))

    def wake(self) -> "Scenario":
        return self.tell(c.Wake(self._now))

    def cancel(self) -> "Scenario":
        return self.tell(c.Cancel(self._now, "because"))

    def terminate(self) -> "Scenario":
        return self.tell(c.Terminate(self._now, "because"))

    def pause(self) -> "Scenario":
        return self.tell(c.Pause(self._now, "because"))

    def resume(self) -> "Scenario":
        return self.tell(c.Resume(self._now))

    def retry(self) -> "Scenario":
        return self.tell(c.Retry(self._now))

    def signal(self, name: str = "go", data: Any = None, id_: str = "1") -> "Scenario":
        return self.tell(c.Signal(self._now, id_, name, data))

    def decide(self, path: str, by: str = "user:1", data: Any = None, *, approved: bool = True) -> "Scenario":
        return self.tell(c.Decide(self._now, path, by, approved, "", data))

    @property
    def story(self) -> list[str]:
        """The events of the last command, as `scheduled fetch 1`, `completed fetch`, `execution-completed`."""
        return [_told(event) for event in self.new]

    @property
    def asked(self) -> dict[str, Any]:
        """The payloads that the last command gave to workers, by path."""
        return {e.path: e.input for e in self.new if isinstance(e, StepScheduled)}

    @property
    def output(self) -> Any:
        last = self.events[-1]
        assert isinstance(last, ExecutionCompleted), last
        return last.output

    @property
    def error(self) -> StepError:
        last = self.events[-1]
        assert isinstance(last, ExecutionFailed), last
        return last.error

    @property
    def retry_after(self) -> int:
        """How many milliseconds from its failure the next attempt follows."""
        last = self.new[-1]
        assert isinstance(last, StepFailed), last
        assert last.retry_at is not None
        return last.retry_at - last.at


def given(*steps: dict[str, Any], input_: Any = None, **fields: Any) -> Scenario:
    """Start an execution of these steps."""
    return Scenario(program_of(steps, **fields), input_)


def _told(event: DomainEvent) -> str:
    kind = event.TYPE.removeprefix("workflow.").removesuffix(".v1")
    match event:
        case StepScheduled(path=path, attempt=attempt):
            return f"scheduled {path} {attempt}"
        case StepFailed(path=path, error=error):
            then = " retry" if event.retry_at is not None else " continued" if event.continued else ""
            return f"failed {path} {error.code}{then}{' handled' if event.handled else ''}"
        case StepWaited(path=path, outcome=outcome):
            return f"waited {path} {outcome}"
        case StepCompleted(path=path, copied=True):
            return f"copied {path}"
        case ExecutionCompleted() | ExecutionFailed() | ExecutionCancelled():
            return kind
    held = getattr(event, "path", None)
    return kind if held is None else f"{kind.removeprefix('step-')} {held}"
