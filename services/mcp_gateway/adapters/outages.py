"""Telling an outage of the database from a row that it cannot take, and both from a bug."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.errors import Unavailable

# A server that restarts, crashes, is told to stop or has become the standby; connections that it took with it.
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
)
_BAD_ROW = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Raise `Unavailable` for whatever a database that is away makes of a query."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable("The database does not answer now: try again.", retry_after=1) from error


def blames_a_row(error: Exception) -> bool:
    """Whether no later try with the same row can be better."""
    return isinstance(error, _BAD_ROW)
