"""The task that keeps the log small: partitions ahead of time, the archive behind it."""

import asyncio
import datetime as dt
import logging
from typing import Protocol

from services.workflow.app.archiver import Archiver
from services.workflow.app.ports import OUTAGES
from services.workflow.limits import RETENTION_EVERY_S

_log = logging.getLogger(__name__)


class Partitions(Protocol):
    """The log's partitions."""

    async def tend(self, now: dt.datetime) -> None:
        """Make what will be needed and drop what is not needed any more."""
        ...


async def keep_to_retention(partitions: Partitions, archiver: Archiver) -> None:
    """Run until cancelled, each minute. A partition is made before anything else is looked at."""
    while True:
        now = dt.datetime.now(dt.UTC)
        try:
            await partitions.tend(now)
            archived = await archiver.archive_due(now)
        except OUTAGES as error:
            _log.warning("retention pauses: %s", error)
        else:
            if archived:
                _log.info("archived %d executions", archived)
        await asyncio.sleep(RETENTION_EVERY_S)
