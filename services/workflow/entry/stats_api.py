"""`GET /api/v1/workflows/stats`: what a tenant's executions came to."""

import datetime as dt
from typing import Annotated, Any

from litestar import Request, get
from litestar.datastructures import State
from litestar.params import QueryParameter

from services.workflow.app.stats import Period, Stats, stats_of, window_of
from services.workflow.entry.filters import span, workflow_of
from shared.auth.scopes import WORKFLOWS_READ
from shared.http.pages import Word
from shared.http.positions import reached
from shared.scope import TenantScope


@get("/api/v1/workflows/stats", opt={"scope": WORKFLOWS_READ}, summary="Counts and durations", tags=["executions"])
async def get_stats(
    request: Request[Any, Any, Any],
    caller: TenantScope,
    state: State,
    workflow_id: Word = None,
    since: Annotated[dt.datetime | None, QueryParameter(name="from")] = None,
    until: Annotated[dt.datetime | None, QueryParameter(name="to")] = None,
    period: Period = "day",
) -> Stats:
    """Return how many executions started and ended, by day or hour (UTC), and how long those that completed took.

    Without `from` and `to`: the last thirty days. The window is widened to whole periods; there are at most 750. An
    execution that failed and was retried no longer counts as failed.
    """
    await reached(request, state.stats.counted_upto)
    wanted = span(since, until, "from/to")
    window = window_of(
        None if since is None else wanted.after,
        None if until is None else wanted.before,
        period,
        dt.datetime.now(dt.UTC),
    )
    found = None if workflow_id is None else await workflow_of(state, caller, workflow_id)
    return stats_of(window, await state.stats.rows(caller, found, window))


HANDLERS: list[Any] = [get_stats]
