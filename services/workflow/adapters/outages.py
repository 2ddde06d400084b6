"""Telling an outage of the database from a bug."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from services.workflow.errors import StoreAway

# A server that restarts, crashes or is told to stop; connections that it took with it.
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,  # how a query can end whose connection dies at that moment
    OSError,
    TimeoutError,
)


@contextmanager
def as_store_away() -> Iterator[None]:
    """Raise `StoreAway`, which says to try again, for whatever a database that is away makes of a query."""
    try:
        yield
    except _AWAY as error:
        raise StoreAway(f"The event store does not answer: {error}", retry_after=1) from error
