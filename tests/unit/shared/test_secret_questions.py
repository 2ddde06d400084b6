"""Questions for secrets and their answers; what is remembered of them, and for how long."""

import asyncio
import os
import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import nats.errors
import nkeys
import pytest

from shared.auth.limits import PROOF_S
from shared.errors import InvalidInput, Unauthenticated, Unavailable
from shared.limits import SECRET_CACHE_SIZE, SECRET_NAMES_ASKED_MAX
from shared.secrets import remote as remote_module
from shared.secrets.errors import SecretNotFound, SecretsUnavailable
from shared.secrets.questions import Answer, Asker, Question, Readers, Refusal, reader_key, seal
from shared.secrets.remote import RemoteSecrets
from shared.settings import SettingsInvalid

TENANT, OTHER = UUID(int=1), UUID(int=2)
SETTING = "AGENTIC_X_SECRETS_SEED"


def seed(prefix: int = nkeys.PREFIX_BYTE_USER) -> str:
    made: bytes = nkeys.encode_seed(os.urandom(32), prefix)
    return made.decode()


SIGNER = reader_key(seed(), SETTING)
READERS = Readers([SIGNER.public_key.decode()], SETTING)
change = msgspec.structs.replace


def test_only_who_asked_opens_the_answer() -> None:
    asker, another = Asker(SIGNER, TENANT, ["A"]), Asker(SIGNER, TENANT, ["A"])
    sealed = seal(asker.question, {"A": "value"})
    assert asker.open(sealed) == {"A": "value"}
    assert seal(asker.question, {"A": "value"}) != sealed
    for bad in (b"", sealed[:32], sealed[:-1], bytes(32) + sealed[32:], sealed + b"x"):
        with pytest.raises(InvalidInput):
            asker.open(bad)
    with pytest.raises(InvalidInput):
        another.open(sealed)
    # Sealed for the same key as the answer to another question.
    for other in (change(asker.question, names=["B"]), change(asker.question, tenant_id=OTHER)):
        with pytest.raises(InvalidInput):
            asker.open(seal(other, {"A": "value"}))


@pytest.mark.parametrize("key", [b"", b"x" * 31, bytes(32)])
def test_a_key_that_agrees_on_nothing_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidInput):
        seal(change(Asker(SIGNER, TENANT, ["A"]).question, key=key), {})


def test_the_signature_is_over_all_of_it_and_lasts_a_minute() -> None:
    question = Asker(SIGNER, TENANT, ["A"]).question
    now = question.issued_at
    for drift in (-PROOF_S, 0, PROOF_S):
        READERS.check(question, now + drift)
    for drift in (-PROOF_S - 1, PROOF_S + 1):
        with pytest.raises(Unauthenticated):
            READERS.check(question, now + drift)
    stranger = Asker(reader_key(seed(), SETTING), TENANT, ["A"]).question
    forged: list[Question] = [
        change(question, names=["A", "B"]), change(question, tenant_id=OTHER), change(question, issued_at=now + 1),
        change(question, key=stranger.key), change(question, signature=b""), stranger,
        change(stranger, reader=question.reader),
    ]  # fmt: skip
    for one in forged:
        with pytest.raises(Unauthenticated):
            READERS.check(one, now)
    with pytest.raises(Unauthenticated):
        Readers((), SETTING).check(question, now)


@pytest.mark.parametrize("bad", ["", "S", "SUABC", "x" * 58, seed(nkeys.PREFIX_BYTE_ACCOUNT), "é"])
def test_a_seed_that_is_none_is_said_by_its_variable(bad: str) -> None:
    with pytest.raises(SettingsInvalid, match=SETTING):
        reader_key(bad, SETTING)


class Service:
    """The other end: it has values, and says what it is told to."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {"A": "a", "B": "b"}
        self.asked: list[list[str]] = []
        self.answer: Any = None
        self.before: Any = None

    async def request(self, _: str, body: bytes, timeout: float) -> SimpleNamespace:  # noqa: ASYNC109
        assert timeout > 0
        question = msgspec.json.decode(body, type=Question)
        READERS.check(question, time.time())
        self.asked.append(question.names)
        found = {name: self.values[name] for name in question.names if name in self.values}
        answer = Answer(seal(question, {**found, "UNASKED": "x"}))
        await asyncio.sleep(0)
        if self.before is not None:
            self.before()
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(data=msgspec.json.encode(self.answer or answer))


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def remote(service: Service) -> RemoteSecrets:
    return RemoteSecrets(lambda: service, SIGNER, SETTING)  # type: ignore[arg-type, return-value]


async def test_values_are_remembered_for_seconds(
    service: Service, remote: RemoteSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(remote_module, "time", SimpleNamespace(monotonic=lambda: now))
    assert await remote.resolve(TENANT, ["A"]) == {"A": "a"}
    assert await remote.resolve(TENANT, ["A", "B"]) == {"A": "a", "B": "b"}
    now += 4.9
    await remote.resolve(TENANT, ["A", "B"])
    assert service.asked == [["A"], ["B"]]
    now += 0.2
    await remote.resolve(TENANT, ["A"])
    await remote.resolve(OTHER, ["A"])
    assert service.asked == [["A"], ["B"], ["A"], ["A"]]
    assert {name for _, name in remote._known} == {"A", "B"}, "what was not asked for is not kept"
    with pytest.raises(SecretNotFound):
        await remote.resolve(TENANT, ["NONE"])


async def test_a_change_is_seen_at_once_and_what_was_on_its_way_is_not_kept(
    service: Service, remote: RemoteSecrets
) -> None:
    await remote.resolve(TENANT, ["A"])
    await remote.resolve(OTHER, ["A"])
    service.values["A"] = "new"
    remote.forget(TENANT)
    assert (await remote.resolve(TENANT, ["A"]), await remote.resolve(OTHER, ["A"])) == ({"A": "new"}, {"A": "a"})
    service.before = lambda: remote.forget(OTHER)
    await remote.resolve(TENANT, ["B"])
    service.before = None
    await remote.resolve(TENANT, ["B"])
    assert service.asked.count(["B"]) == 2


async def test_who_wants_the_same_at_once_asks_once(service: Service, remote: RemoteSecrets) -> None:
    answers = await asyncio.gather(*(remote.resolve(TENANT, ["A"]) for _ in range(100)))
    assert answers == [{"A": "a"}] * 100
    assert len(service.asked) == 1
    remote.forget(TENANT)
    first = asyncio.create_task(remote.resolve(TENANT, ["A"]))
    await asyncio.sleep(0)
    service.values["A"] = "new"
    remote.forget(TENANT)
    assert await remote.resolve(TENANT, ["A"]) == {"A": "new"}, "a change does not wait for the question before it"
    assert await first in ({"A": "a"}, {"A": "new"})


async def test_one_who_goes_takes_no_answer_from_the_others(service: Service, remote: RemoteSecrets) -> None:
    first, second = (asyncio.create_task(remote.resolve(TENANT, ["A"])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {"A": "a"}
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (nats.errors.NoRespondersError(), Unavailable),
        (TimeoutError(), Unavailable),
        (Answer(b"junk"), Unavailable),
        ("junk", Unavailable),
        (Answer(error=Refusal("unavailable", "away")), Unavailable),
        (Answer(error=Refusal("unauthenticated", "no")), SecretsUnavailable),
    ],
)
async def test_what_is_no_answer(
    service: Service, remote: RemoteSecrets, answer: object, error: type[Exception]
) -> None:
    service.answer = answer
    with pytest.raises(error):
        await remote.resolve(TENANT, ["A"])
    service.answer = None
    assert await remote.resolve(TENANT, ["A"]) == {"A": "a"}, "a failure is not remembered"


async def test_without_a_key_nobody_is_asked(service: Service) -> None:
    remote = RemoteSecrets(lambda: service, None, SETTING)  # type: ignore[arg-type, return-value]
    with pytest.raises(SecretsUnavailable, match=SETTING):
        await remote.resolve(TENANT, ["A"])
    assert service.asked == []


async def test_bounds(service: Service, remote: RemoteSecrets) -> None:
    with pytest.raises(SecretsUnavailable):
        await remote.resolve(TENANT, [f"N{number}" for number in range(SECRET_NAMES_ASKED_MAX + 1)])
    service.values = {f"N{number}": "x" for number in range(SECRET_CACHE_SIZE + 64)}
    names = list(service.values)
    for start in range(0, len(names), 32):
        await remote.resolve(TENANT, names[start : start + 32])
    assert len(remote._known) == SECRET_CACHE_SIZE
