"""Telling an outage of the database from a row that it cannot take, and both from a bug."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.db.outages import DATABASE_AWAY
from shared.errors import Unavailable

_BAD_ROW = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Raise `Unavailable` for whatever a database that is away makes of a query."""
    try:
        yield
    except DATABASE_AWAY as error:
        raise Unavailable("The database does not answer now: try again.", retry_after=1) from error


def blames_a_row(error: Exception) -> bool:
    """Whether no later try with the same row can be better."""
    return isinstance(error, _BAD_ROW)
