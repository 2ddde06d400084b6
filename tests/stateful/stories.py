"""Executions that say something of every step type and every control, told once and kept as golden histories.

`python -m tests.stateful.stories` writes those that are not kept yet. A kept one is never written again: it is what an
older version of the code recorded, and every later one has to tell the same.
"""

from pathlib import Path
from typing import Any

import msgspec

from services.workflow.domain import commands as c
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.language.steps import STEP_TYPES
from tests.unit.workflow_engine.scenario import (
    Scenario,
    approval,
    conditional,
    delay,
    foreach,
    given,
    loop,
    parallel,
    tool,
    transform,
    wait,
)

FOLDER = Path(__file__).parent / "histories"


class Story(msgspec.Struct):
    """What an execution was told, and what it recorded of it."""

    definition: dict[str, Any]
    told: list[tuple[str, Any]]
    events: list[tuple[str, Any]]


def command_of(kind: str, body: Any) -> c.Command:
    return msgspec.convert(body, getattr(c, kind))


def _http(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "http", "name": name, "url": "https://example.org/{input.id}", "max_retries": 1, **fields}


def _tell() -> dict[str, Scenario]:
    agent = {"type": "agent", "name": "ask", "agent_id": "a", "input": {"instruction": "Say {input.word}"}}
    rag = {"type": "rag_query", "name": "look", "collection": "docs", "query": "{ask.response}", "top_k": 3}
    child = {"type": "workflow", "name": "run", "workflow": "other", "input": {"n": 1}}
    switch = {
        "type": "conditional", "name": "which", "switch": "{input.k}",
        "branches": {"red": [transform("r", 1)], "blue": transform("b", 2)}, "default": [transform("d", 3)],
    }  # fmt: skip
    emit = {
        "type": "emit",
        "name": "tell",
        "subject": "orders.{input.id}",
        "event_type": "order.paid",
        "input": {"n": 1},
    }
    deep: dict[str, Any] = tool("leaf", {"x": "{each_item}"})
    for level in range(14):
        deep = [
            parallel(f"p{level}", deep, transform(f"t{level}")),
            conditional(f"c{level}", "$.input.yes", deep),
            loop(f"l{level}", "$.input.yes", deep, **{"as": f"turn{level}"}),
        ][level % 3]
    # fmt: off
    return {
        "mcp_tool": given(tool("t", {"x": "{input.x}"}, output_mapping={"y": "$.out.y"}), input_={"x": 1}).done(
            "t", {"out": {"y": 2}}
        ),
        "http": given(_http("h"), input_={"id": 7}).failed("h", "http_status")
        .at(2_000).wake().done("h", {}, attempt=2),
        "agent": given(agent, input_={"word": "hi"}).done("ask", {"response": '{"confidence": 0.9}', "usage": {}}),
        "rag_query": given(agent, rag, input_={"word": "hi"}).done("ask", {"response": "hi"})
        .done("look", {"results": []}),
        "workflow": given(child).done("run", {"ok": True}),
        "conditional": given(
            conditional("c", "$.input.n > 1", transform("yes", "y"), transform("no", "n")), switch,
            input_={"n": 2, "k": "blue"},
        ),
        "parallel": given(
            parallel("all", tool("a"), tool("b")), parallel("any", tool("x"), tool("y"), wait_for="any"),
            parallel("two", tool("q"), tool("r"), tool("s"), wait_for="count:2"),
        ).done("all/b", 2).done("all/a", 1).done("any/y", 3).done("two/s", 4).failed("two/q", retryable=False)
        .done("two/r", 5),
        "foreach": given(
            foreach("each", "{input.xs}", tool("t", {"x": "{item}"}), transform("u", "{t}{item_index}"),
                    max_concurrency=2),
            input_={"xs": ["a", "b", "c"]},
        ).done("each[1]/t", "B").done("each[0]/t", "A").done("each[2]/t", "C"),
        "loop": given(loop("again", "$.t > 1", tool("t", {"was": "{iteration.previous}"}))).done("again[0]/t", 1).done(
            "again[1]/t", 2
        ),
        "delay": given(delay("d", 5), transform("end", "{d.due}")).at(5_000).wake(),
        "wait_for_event": given(
            wait("w"), wait("late", "never", timeout_seconds=5, on_timeout=[transform("instead", 1)])
        ).signal("other", 0, "0").signal("go", {"x": 1}, "1").at(6_000).wake(),
        "approval": given(
            approval("ok", title="Pay {input.n}?", assignees=["user:1"], form_schema={"type": "object"}),
            input_={"n": 5},
        ).decide("ok", "user:1", {"amount": 3}),
        "emit": given(emit, input_={"id": "7"}),
        "transform": given(transform("t", {"x": "{input.x}"}), transform("skipped", 1, when="$.input.no"),
                           input_={"x": 1}),
        "on_error": given(
            tool("a", on_error=[tool("h", {"why": "{a.error.code}"})]), tool("b", on_error="continue"), tool("end")
        ).failed("a", retryable=False).done("a/h", 1).failed("b", retryable=False).done("end"),
        "compensate": given(
            tool("pay", compensate=tool("refund", {"of": "{pay}"})),
            foreach("each", [1, 2], tool("book", compensate=tool("unbook", {"x": "{item}", "was": "{book}"}))),
            tool("boom"),
        ).done("pay", "p").done("each[1]/book", "b2").done("each[0]/book", "b1").failed("boom", retryable=False)
        .done("each[0]/book/unbook").failed("each[1]/book/unbook", retryable=False).done("pay/refund"),
        "cancel": given(parallel("p", tool("a", compensate=transform("u")), delay("d", 9), wait("w")))
        .done("p/a").cancel(),
        "terminate": given(tool("a", compensate=tool("u")), approval("ok")).done("a").terminate(),
        "pause": given(parallel("p", tool("a"), tool("b"), delay("d", 5)), tool("end")).at(1_000).pause().done("p/a", 1)
        .at(9_000).wake().resume().done("p/b", 2).at(13_000).wake().done("end", 3),
        "retry": given(foreach("each", [1, 2, 3], tool("t"), max_concurrency=2), tool("end")).done("each[0]/t", 1)
        .failed("each[1]/t", retryable=False).at(50).retry().done("each[1]/t", 2, attempt=2)
        .done("each[2]/t", 3, attempt=2).done("end", 4),
        "timeout": given(tool("t", timeout_seconds=5), timeout_seconds=3).at(3_000).wake(),
        "nested": given(foreach("outer", [1], deep, **{"as": "each_item"}), input_={"yes": True}),
    }
    # fmt: on


def main() -> None:
    """Write the histories that are not kept yet."""
    told = _tell()
    assert set(STEP_TYPES) <= set(told)
    deep = told["nested"]
    for path in list(deep.state.open_tasks):
        deep.done(path, path)
    for name, scenario in told.items():
        file = FOLDER / f"{name}.json"
        if file.exists():
            continue
        assert scenario.state.ended, name
        story = Story(
            msgspec.to_builtins(scenario.program.definition),
            [(type(command).__name__, msgspec.to_builtins(command)) for command in scenario.told],
            [(event.TYPE, msgspec.json.decode(EXECUTION_EVENTS.encode(event))) for event in scenario.events],
        )
        file.write_bytes(msgspec.json.format(msgspec.json.encode(story), indent=1) + b"\n")


if __name__ == "__main__":
    main()
