"""What the suite is run against, one leg after the other."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.conformance.suite import EXTENSION, Suite
from tests.conformance.upstream import everything_by_http
from tests.conformance.verdict import Outcome

REVISIONS = ("2025-11-25", "2026-07-28")
OLD_AUTHORISATION = "2025-03-26"


class Leg(NamedTuple):
    name: str
    run: Callable[[Suite], Awaitable[list[Outcome]]]


def _upstream(revision: str) -> Leg:
    """The upstream alone: what nobody in front of it can surpass."""
    name = f"upstream {revision}"

    async def run(suite: Suite) -> list[Outcome]:
        async with everything_by_http() as url:
            return await suite.of_server(url, revision, name)

    return Leg(name, run)


def _client(revision: str) -> Leg:
    name = f"client {revision}"
    return Leg(name, lambda suite: suite.of_client(revision, name))


LEGS = (
    *(_upstream(revision) for revision in REVISIONS),
    *(_client(revision) for revision in (OLD_AUTHORISATION, *REVISIONS, EXTENSION)),
)
