"""Configs on Postgres: every row is written with its event. What calls look up is cached for seconds."""

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.mcp_gateway.adapters.outages import as_unavailable
from services.mcp_gateway.app.configs import ConfigFilter, KeptConfig
from services.mcp_gateway.app.policy import TenantConfigs
from services.mcp_gateway.domain.config import Config, ConfigDefinition, restarts
from services.mcp_gateway.domain.events import CATALOGUE, ConfigChanged, ConfigCreated, ConfigRemoved
from services.mcp_gateway.errors import ConfigExists
from services.mcp_gateway.limits import CONFIG_CACHE_SECONDS, CONFIGS_CACHED, CONFIGS_PER_TENANT_MAX
from shared.db.pool import Connection, TenantPool
from shared.db.queries import load_queries
from shared.errors import Conflict, NotFound, PreconditionFailed
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import EventMeta, NewEvent, encode_meta
from shared.eventstore.postgres import append_in
from shared.ids import new_id
from shared.paging import Place
from shared.scope import TenantScope
from shared.telemetry.trace import current_trace_id, current_traceparent

_sql = load_queries(Path(__file__).parent / "configs.sql")
_decode_definition = msgspec.json.Decoder(ConfigDefinition).decode
_FIELDS = ("tenant_id", "id", "definition", "revision", "stream_version", "created_at", "updated_at")


class Configs:
    """`ConfigSource`, and the commands that change configs."""

    def __init__(self, pool: TenantPool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake
        self._cache: dict[UUID, tuple[float, TenantConfigs]] = {}
        self._cached = 0
        self._loading: dict[UUID, asyncio.Task[TenantConfigs]] = {}

    async def of_tenant(self, scope: TenantScope) -> TenantConfigs:
        """Return the tenant's configs. Seconds old at most, and at once new after a change anywhere."""
        entry = self._cache.get(scope.tenant_id)
        if entry is not None and entry[0] > _now():
            return entry[1]
        loading = self._loading.get(scope.tenant_id)
        if loading is None:
            loading = self._loading[scope.tenant_id] = asyncio.create_task(self._load(scope))
            loading.add_done_callback(_retrieve)
        return await asyncio.shield(loading)

    def forget(self, tenant_id: UUID) -> None:
        """Look a tenant's configs up anew: one of them changed. What is being read now may be from before that."""
        self._loading.pop(tenant_id, None)
        entry = self._cache.pop(tenant_id, None)
        if entry is not None:
            self._cached -= entry[1].count + 1

    async def read(self, scope: TenantScope, config_id: UUID) -> Config:
        """Return a config as it is now. Raises `NotFound`."""
        with as_unavailable():
            async with self._pool.connection(scope) as connection:
                row = await connection.fetchrow(_sql.find, config_id)
        if row is None:
            raise NotFound("There is no such config.")
        return _config_of(row)

    async def page(
        self, scope: TenantScope, wanted: ConfigFilter, limit: int, offset: int = 0, after: Place | None = None
    ) -> tuple[list[Config], int]:
        """Return a page of configs in the order of their making, and how many there are in all."""
        narrowing = (wanted.server_id, wanted.agent_id, wanted.profile)
        async with self._pool.connection(scope) as connection:
            rows = await connection.fetch(_sql.page, *narrowing, *(after or (None, None)), limit, offset)
            total = await connection.fetchval(_sql.count_matching, *narrowing)
        return [_config_of(row) for row in rows], total

    async def create(
        self, scope: TenantScope, definition: ConfigDefinition, config_id: UUID | None = None
    ) -> KeptConfig:
        """Add a config, or return the tenant's config that has this id already: it was made before.

        Raises `ConfigExists`, `NotFound` if the server is gone, or `Conflict` when the tenant has as many as it may.
        """
        try:
            return await self._insert(scope, config_id or new_id(), definition)
        except Conflict:
            known = None if config_id is None else await self._of_id(scope, config_id)
            if known is None:
                raise
            return known

    async def change(self, scope: TenantScope, config: Config, definition: ConfigDefinition) -> KeptConfig:
        """Say it anew. Raises `PreconditionFailed` if somebody else changed it since it was read."""
        revision = config.revision + 1 if restarts(config.definition, definition) else config.revision
        changed = msgspec.structs.replace(
            config,
            definition=definition,
            revision=revision,
            stream_version=config.stream_version + 1,
            updated_at=dt.datetime.now(dt.UTC),
        )
        async with self._pool.transaction(scope) as connection:
            done = await connection.fetchval(
                _sql.update,
                *(config.id, config.stream_version, _json(definition), revision),
                changed.updated_at,
            )
            if not done:
                raise _stale()
            event = ConfigChanged(definition=definition, revision=revision)
            position = await append_in(connection, [new_event(scope, config.id, changed.stream_version, event)])
        self._changed(scope)
        return KeptConfig(changed, position)

    async def remove(self, scope: TenantScope, config: Config) -> int:
        """Take a config away and return the position of that. Raises `PreconditionFailed`."""
        async with self._pool.transaction(scope) as connection:
            if not await connection.fetchval(_sql.delete, config.id, config.stream_version):
                raise _stale()
            event = ConfigRemoved(server_id=config.definition.server_id)
            position = await append_in(connection, [new_event(scope, config.id, config.stream_version + 1, event)])
        self._changed(scope)
        return position

    async def _load(self, scope: TenantScope) -> TenantConfigs:
        until = _now() + CONFIG_CACHE_SECONDS
        this = asyncio.current_task()
        try:
            with as_unavailable():
                async with self._pool.connection(scope) as connection:
                    rows = await connection.fetch(_sql.all)
            found = TenantConfigs(_config_of(row) for row in rows)
            if self._loading.get(scope.tenant_id) is this:
                self._keep(scope.tenant_id, until, found)
            return found
        finally:
            if self._loading.get(scope.tenant_id) is this:
                del self._loading[scope.tenant_id]

    def _keep(self, tenant_id: UUID, until: float, found: TenantConfigs) -> None:
        if self._cached > CONFIGS_CACHED:
            self._cache.clear()
            self._cached = 0
        before = self._cache.get(tenant_id)
        self._cached += found.count + 1 - (before[1].count + 1 if before is not None else 0)
        self._cache[tenant_id] = (until, found)

    async def _insert(self, scope: TenantScope, config_id: UUID, definition: ConfigDefinition) -> KeptConfig:
        now = dt.datetime.now(dt.UTC)
        try:
            async with self._pool.transaction(scope) as connection:
                if await connection.fetchval(_sql.count) >= CONFIGS_PER_TENANT_MAX:
                    raise Conflict(f"A tenant has at most {CONFIGS_PER_TENANT_MAX} configs.")
                await connection.execute(
                    _sql.insert,
                    *(scope.tenant_id, config_id, definition.server_id, definition.agent_id, definition.profile),
                    *(_json(definition), now),
                )
                event = ConfigCreated(definition=definition)
                position = await append_in(connection, [new_event(scope, config_id, 1, event)])
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "configs_one":
                raise ConfigExists("This server has a config for the same agent, profile or tenant already.") from error
            raise Conflict("There is a config with this id already.") from error
        except asyncpg.ForeignKeyViolationError as error:
            raise NotFound("There is no such MCP server.") from error
        self._changed(scope)
        return KeptConfig(Config(scope.tenant_id, config_id, definition, 1, 1, now, now), position)

    async def _of_id(self, scope: TenantScope, config_id: UUID) -> KeptConfig | None:
        async with self._pool.connection(scope) as connection:
            row = await connection.fetchrow(_sql.find, config_id)
            position = await connection.fetchval(_sql.last_position, config_id)
        return None if row is None else KeptConfig(_config_of(row), position)

    def _changed(self, scope: TenantScope) -> None:
        self.forget(scope.tenant_id)
        self._wake()


async def removed_with(connection: Connection, scope: TenantScope, server_id: UUID) -> list[NewEvent]:
    """Take the configs of a server away, in the transaction that takes the server away, and return their events."""
    event = ConfigRemoved(server_id=server_id)
    rows = await connection.fetch(_sql.delete_of_server, server_id)
    return [new_event(scope, row["id"], row["stream_version"] + 1, event) for row in rows]


def new_event(scope: TenantScope, stream_id: UUID, version: int, event: DomainEvent) -> NewEvent:
    """Return an event as it is written for whoever asks now."""
    meta = EventMeta(actor=scope.actor, correlation_id=current_trace_id(), traceparent=current_traceparent())
    return NewEvent(scope.tenant_id, stream_id, version, event.TYPE, CATALOGUE.encode(event), encode_meta(meta))


def _config_of(row: Any) -> Config:
    values = {name: row[name] for name in _FIELDS}
    return Config(**{**values, "definition": _decode_definition(values["definition"])})


def _json(definition: ConfigDefinition) -> str:
    return msgspec.json.encode(definition).decode()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _retrieve(task: "asyncio.Task[TenantConfigs]") -> None:
    """Mark a failed look-up as seen: every caller may have gone before it failed."""
    if not task.cancelled():
        task.exception()


def _stale() -> PreconditionFailed:
    return PreconditionFailed("The config was changed by somebody else meanwhile: read it again.")
