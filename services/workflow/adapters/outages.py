"""Telling an outage of the database from a bug."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.workflow.errors import StoreAway
from shared.db.outages import DATABASE_AWAY


@contextmanager
def as_store_away() -> Iterator[None]:
    """Raise `StoreAway`, which says to try again, for whatever a database that is away makes of a query."""
    try:
        yield
    except DATABASE_AWAY as error:
        raise StoreAway(f"The event store does not answer: {error}", retry_after=1) from error
