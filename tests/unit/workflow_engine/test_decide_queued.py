"""An execution that is queued for its concurrency key: nothing of it begins, no time runs, until it is admitted."""

from services.workflow.domain import commands as c
from services.workflow.domain.events import ExecutionAdmitted
from tests.unit.workflow_engine.scenario import BEGIN, WORKFLOW, Scenario, folded, plain, program_of, tool

TIMEOUT_MS = 10_000


def queued() -> Scenario:
    run = Scenario(program_of([tool("a")], timeout_seconds=TIMEOUT_MS / 1000))
    run.state, run.events = folded([]), []
    return run.tell(c.Start(BEGIN, WORKFLOW, 1, {}, {}, queued=True))


def admitted(run: Scenario, at: int) -> Scenario:
    return run.tell(c.Admit(BEGIN + at))


def test_it_begins_when_it_is_admitted_and_its_time_runs_from_then() -> None:
    run = queued()
    assert (run.story, run.state.status) == (["execution-started"], "pending")
    assert run.at(TIMEOUT_MS * 100).wake().story == [], "to wait takes none of its time"
    admitted(run, TIMEOUT_MS * 100)
    assert run.story == ["execution-admitted", "scheduled a 1"]
    assert run.state.status == "running"
    event = run.new[0]
    assert isinstance(event, ExecutionAdmitted)
    assert event.deadline == BEGIN + TIMEOUT_MS * 101
    assert run.at(TIMEOUT_MS * 101 - 1).wake().story == []
    assert run.at(TIMEOUT_MS * 101).wake().story[-1] == "execution-failed"


def test_it_is_admitted_once() -> None:
    run = admitted(queued(), 1)
    assert admitted(run, 2).story == []


def test_one_that_never_waited_is_not_admitted() -> None:
    assert admitted(Scenario(program_of([tool("a")])), 1).story == []


def test_one_that_is_paused_begins_only_after_that() -> None:
    run = queued().pause()
    assert run.state.status == "paused"
    assert admitted(run, 1).story == []
    assert run.resume().story == ["execution-resumed"]
    assert run.state.status == "pending"
    assert admitted(run, 2).story == ["execution-admitted", "scheduled a 1"]


def test_cancelled_it_ends_without_having_begun() -> None:
    run = queued().cancel()
    assert run.story == ["execution-cancelled"]
    assert admitted(run, 1).story == []


def test_the_fold_of_its_events_is_its_state() -> None:
    run = admitted(queued(), 5)
    assert plain(folded(run.events)) == plain(run.state)
