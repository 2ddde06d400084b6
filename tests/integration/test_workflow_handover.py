"""Results and commands find the owner of their partition over a real NATS, as the workflow service's user."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry

from services.workflow.app.items import Accepted
from services.workflow.entry.consumer import consumers
from services.workflow.entry.handover import COMMANDS, HandOver, Verb
from services.workflow.entry.routes import NatsRoutes
from services.workflow.errors import PartitionMoving
from services.workflow.metrics import EngineMetrics
from shared.bus.answered import REPLY_TO
from shared.bus.inboxes import inbox_prefix
from shared.bus.outcome import Done, Retry
from shared.bus.streams import COMMANDS as STREAM
from shared.bus.tasks import TaskError, TaskResult, partition_of, result_subject
from shared.ids import new_id
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE_S = 20.0
SUBJECT = "commands.workflow.nudge-execution"


class Nudge(msgspec.Struct, frozen=True):
    """A verb that the platform does not have: the way of commands knows nothing of what they are."""

    execution_id: UUID
    how: str = "gently"


class Process:
    """Stands for a process of the service: `owned` partitions, what it heard, what it carried out."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.owned: set[int] = set()
        self.results: list[TaskResult] = []
        self.nudged: list[Nudge] = []
        self.looks = 0
        metrics = EngineMetrics(CollectorRegistry())
        self.id = new_id()
        self.routes = NatsRoutes(lambda: client, self.id, metrics)
        self.table = {SUBJECT: Verb(Nudge, self._nudge)}
        self.handover = HandOver(lambda: client, self.id, self.routes, self.table, metrics)

    async def listen(self) -> None:
        def look() -> None:
            self.looks += 1

        await self.routes.listen(self.take, look)
        await self.handover.listen()

    async def own(self, *partitions: int) -> None:
        self.owned.update(partitions)
        await self.routes.open(partitions)
        await self.client.flush()
        self.routes.tell(partitions)
        await asyncio.gather(*self.routes._sending)
        await self.client.flush()

    async def disown(self, *partitions: int) -> None:
        self.owned.difference_update(partitions)
        self.routes.close(partitions)

    def takes(self, execution_id: UUID) -> bool:
        return partition_of(execution_id) in self.owned

    def take(self, results: list[TaskResult]) -> list[TaskResult]:
        self.results += [result for result in results if self.takes(result.execution_id)]
        return [result for result in results if not self.takes(result.execution_id)]

    async def _nudge(self, nudge: Nudge) -> Accepted:
        if not self.takes(nudge.execution_id):
            raise PartitionMoving("not here", retry_after=1)
        if nudge.how == "wrong":
            raise ZeroDivisionError
        self.nudged.append(nudge)
        return Accepted(nudge.execution_id, "running", 2, 7)


@pytest_asyncio.fixture(loop_scope="session")
async def pair(backbone: Backbone) -> AsyncIterator[tuple[Process, Process]]:
    complaints: list[Exception] = []

    async def complain(error: Exception) -> None:
        complaints.append(error)

    processes = []
    for _ in range(2):
        client = await nats.connect(
            backbone.nats_url,
            nkeys_seed_str=backbone.nats_seed("workflow"),
            inbox_prefix=inbox_prefix("workflow").encode(),
            error_cb=complain,
        )
        process = Process(client)
        await process.listen()
        await client.flush()
        processes.append(process)
    yield processes[0], processes[1]
    for process in processes:
        await process.client.close()
    assert not complaints, "the service's user may do all of this"


def execution(partition: int) -> UUID:
    return next(i for i in iter(new_id, None) if partition_of(i) == partition)


def result(execution_id: UUID) -> TaskResult:
    return TaskResult(execution_id, "a", 1, "ok", {"n": 1})


async def until(holds: object) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_a_command_is_carried_out_by_the_owner(pair: tuple[Process, Process]) -> None:
    first, second = pair
    await first.own(1)
    await second.own(2)
    await until(lambda: first.routes.owner_of(execution(2)) == second.id)
    here, there = Nudge(execution(1)), Nudge(execution(2), "hard")
    answers = await first.handover.answers(SUBJECT, [here, there])
    assert [(a.execution_id, a.status, a.version, a.position) for a in answers] == [
        (here.execution_id, "running", 2, 7),
        (there.execution_id, "running", 2, 7),
    ]
    assert (first.nudged, second.nudged) == ([here], [there])


async def test_what_the_owner_refuses_comes_back_as_it_said_it(pair: tuple[Process, Process]) -> None:
    first, second = pair
    await second.own(2)
    await until(lambda: first.routes.owner_of(execution(2)) == second.id)
    second.owned.clear()  # as if it had lost it just now
    [answer] = await first.handover.answers(SUBJECT, [Nudge(execution(2))])
    assert answer.error is not None
    assert (answer.error.code, answer.error.retry_after) == ("partition_moving", 1)


async def test_a_bug_at_the_owner_is_counted_like_one_here(pair: tuple[Process, Process]) -> None:
    first, second = pair
    await second.own(2)
    await until(lambda: first.routes.owner_of(execution(2)) == second.id)
    nudges = [Nudge(execution(2)), Nudge(execution(2), "wrong")]
    answers = await asyncio.gather(
        *(first.handover.answers(SUBJECT, [nudge]) for nudge in nudges), return_exceptions=True
    )
    assert isinstance(answers[0], list), "its neighbour in the message is carried out"
    assert isinstance(answers[1], RuntimeError)
    assert second.nudged == nudges[:1]


async def test_many_commands_travel_together(pair: tuple[Process, Process]) -> None:
    first, second = pair
    await second.own(2, 3)
    await until(lambda: first.routes.owner_of(execution(3)) == second.id)
    nudges = [Nudge(execution(2 + n % 2), "x" * 20_000) for n in range(200)]
    sent = first.client.stats["out_msgs"]
    answers = await asyncio.gather(*(first.handover.answers(SUBJECT, [nudge]) for nudge in nudges))
    assert [answer.execution_id for [answer] in answers] == [nudge.execution_id for nudge in nudges]
    assert first.client.stats["out_msgs"] - sent <= 2 * (200 * 20_100 // 1_000_000 + 1)


async def test_an_owner_that_died_leaves_a_command_for_later(pair: tuple[Process, Process]) -> None:
    first, _ = pair
    first.routes.follow({5: new_id()})
    [answer] = await first.handover.answers(SUBJECT, [Nudge(execution(5))])
    assert answer.error is not None
    assert answer.error.code == "partition_moving"
    assert answer.error.retry_after is not None


async def test_the_consumer_retries_what_nobody_owns_and_answers_what_somebody_does(
    pair: tuple[Process, Process],
) -> None:
    first, second = pair
    [consumer] = consumers(lambda: first.client, first.table, first.handover)
    assert (consumer.subject, consumer.durable, consumer.stream) == (SUBJECT, "workflow-nudge-execution", STREAM)
    heard = await second.client.subscribe("answers.workflow.test.>")
    await second.client.flush()
    body = msgspec.json.encode([Nudge(execution(9))])
    message = Msg(first.client, SUBJECT, "", body, {REPLY_TO: "answers.workflow.test.1"})
    assert isinstance(await consumer.handler(message), Retry)
    await second.own(9)
    await until(lambda: first.routes.owner_of(execution(9)) == second.id)
    assert await consumer.handler(message) == Done()
    [answer] = msgspec.json.decode((await heard.next_msg(timeout=PATIENCE_S)).data)
    assert answer["status"] == "running"


async def test_an_unknown_verb_is_for_later(pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch) -> None:
    from services.workflow.entry import handover

    monkeypatch.setattr(handover, "HAND_OVER_S", 0.2)
    first, second = pair
    await second.own(2)
    await until(lambda: first.routes.owner_of(execution(2)) == second.id)
    second.handover._verbs = {}
    [answer] = await first.handover.answers(SUBJECT, [Nudge(execution(2))])
    assert answer.error is not None
    assert answer.error.retry_after is not None


async def test_a_result_that_postgres_would_refuse_becomes_an_error(pair: tuple[Process, Process]) -> None:
    first, _ = pair
    await first.own(1)
    id_ = execution(1)
    bad = [
        TaskResult(id_, "output", 1, "ok", [{"a\0": 1}]),
        TaskResult(id_, "code", 1, "error", error=TaskError("\0", "why")),
        TaskResult(id_, "details", 1, "error", error=TaskError("a", "b", details={"c": "\0"})),
    ]
    good = [
        TaskResult(id_, "escaped", 1, "ok", "\\u0000"),
        TaskResult(id_, "error", 1, "error", error=TaskError("a", "b")),
    ]
    await first.client.publish(result_subject(1), msgspec.json.encode([*bad, *good]))
    await until(lambda: len(first.results) == len(bad) + len(good))
    assert first.results[len(bad) :] == good
    for heard in first.results[: len(bad)]:
        assert heard.error is not None
        assert (heard.status, heard.output, heard.error.code) == ("error", None, "result_bad_text")


async def test_a_result_that_came_to_the_wrong_process_is_sent_on(pair: tuple[Process, Process]) -> None:
    first, second = pair
    await first.own(1)
    await second.own(2)
    mine, others = result(execution(1)), result(execution(2))
    await second.client.publish(result_subject(1), msgspec.json.encode([mine, others]))
    await until(lambda: first.results == [mine] and second.results == [others])


async def test_a_result_is_kept_until_its_partition_has_an_owner(pair: tuple[Process, Process]) -> None:
    first, second = pair
    await first.own(1, 3)
    await first.disown(3)
    late = result(execution(3))
    await second.client.publish(result_subject(3), msgspec.json.encode([late]))
    await until(lambda: first.routes._kept_count == 1)
    await second.own(3)
    await until(lambda: second.results == [late])
    assert first.routes._kept_count == 0
    assert first.looks > 0


async def test_nobody_sends_on_what_was_sent_on(pair: tuple[Process, Process]) -> None:
    first, second = pair
    await first.own(1)
    await second.own(2)
    second.owned.clear()
    await until(lambda: first.routes.owner_of(execution(2)) == second.id)
    seen: list[Msg] = []

    async def see(message: Msg) -> None:
        seen.append(message)

    await first.client.subscribe("results.2", cb=see)
    await first.client.flush()
    await second.client.publish(result_subject(1), msgspec.json.encode([result(execution(2))]))
    await until(lambda: len(seen) == 1)
    await second.client.flush()
    await asyncio.sleep(0.1)
    assert len(seen) == 1
    assert second.routes._metrics.astray.labels("dropped")._value.get() == 1


async def test_only_the_service_hands_over(backbone: Backbone, pair: tuple[Process, Process]) -> None:
    _, second = pair
    await second.own(2)
    refused: list[Exception] = []

    async def note(error: Exception) -> None:
        refused.append(error)

    other = await nats.connect(
        backbone.nats_url,
        nkeys_seed_str=backbone.nats_seed("rag"),
        inbox_prefix=inbox_prefix("rag").encode(),
        error_cb=note,
    )
    await other.publish(f"{COMMANDS}.{second.id}.nudge-execution", msgspec.json.encode([Nudge(execution(2))]))
    await until(lambda: refused)
    await other.close()
    assert not second.nudged
