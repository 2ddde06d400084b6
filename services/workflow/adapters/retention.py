"""What a tenant wants kept and for how long, and what its archive holds."""

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import UUID

from services.workflow.errors import WorkflowNotFound
from services.workflow.limits import RETENTION_COUNTED, RETENTION_POLICIES_SHOWN
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "archive.sql")


class PostgresRetention:
    """`Retention`, one tenant at a time."""

    def __init__(self, pool: TenantPool, default_days: int | None) -> None:
        self._pool = pool
        self.default_days = default_days

    async def policies(self, scope: TenantScope) -> tuple[list[Any], list[Any]]:
        """Return the tenant's policies and what its definitions ask for, each by `workflow_id` and `days`."""
        async with self._pool.connection(scope) as connection:
            policies = await connection.fetch(_sql.policies, RETENTION_POLICIES_SHOWN)
            return list(policies), list(await connection.fetch(_sql.wishes, RETENTION_POLICIES_SHOWN))

    async def set(self, scope: TenantScope, workflow_id: UUID | None, days: int | None) -> None:
        """Set or remove (None) a policy, for one workflow or for all. Raises `WorkflowNotFound`."""
        async with self._pool.transaction(scope) as connection:
            if workflow_id is not None and not await connection.fetchval(_sql.workflow_exists, workflow_id):
                raise WorkflowNotFound(f"There is no workflow {workflow_id}.")
            if days is None:
                await connection.execute(_sql.remove_policy, workflow_id)
            else:
                await connection.execute(_sql.set_policy, scope.tenant_id, workflow_id, days, scope.actor)

    async def figures(self, scope: TenantScope, midnight: dt.datetime) -> dict[str, Any]:
        """Return objects, executions and bytes of the archive, the oldest end that is not in it, and what is due."""
        async with self._pool.connection(scope) as connection:
            totals = await connection.fetchrow(_sql.totals)
            return {
                **dict(totals),
                "oldest_ended_at": await connection.fetchval(_sql.oldest_ended),
                "due": await connection.fetchval(_sql.due_count, midnight, self.default_days, RETENTION_COUNTED),
            }
