"""Where a page of a list begins."""

import datetime as dt
from typing import NamedTuple
from uuid import UUID


class Place(NamedTuple):
    """A row's place in a list that is sorted by time and, among equal times, by id."""

    at: dt.datetime
    id: UUID
