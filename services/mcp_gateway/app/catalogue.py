"""The catalogue: what can be installed, and installing it. A tenant sees its own entries and the platform's."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from services.mcp_gateway.app.ports import LaunchRules
from services.mcp_gateway.domain.catalogue.entries import Entry, check_entry, slug_of_entry
from services.mcp_gateway.domain.catalogue.server_json import ServerJson
from services.mcp_gateway.domain.catalogue.ways import Choice, Way, choose, definition_of, ways_of
from services.mcp_gateway.domain.server import ServerDefinition
from services.mcp_gateway.domain.server_rules import check_definition
from services.mcp_gateway.errors import EntryExists, NotInstallable
from shared.errors import NotFound
from shared.scope import TenantScope


class Shelved(msgspec.Struct, frozen=True):
    """An entry with its `server.json`."""

    entry: Entry
    server: ServerJson


class Shelf(Protocol):
    """The tenant's own entries."""

    async def entries(self, scope: TenantScope) -> list[Entry]:
        """Return all of them, as lists show them."""
        ...

    async def find(self, scope: TenantScope, slug: str) -> Shelved | None:
        """Return one."""
        ...

    async def add(self, scope: TenantScope, server: ServerJson, entry_id: UUID) -> tuple[Shelved, int]:
        """Add one and return it with the position of that; one of this id is there already and is returned.

        Raises `EntryExists`, or `Conflict` when the tenant has as many as it may.
        """
        ...

    async def remove(self, scope: TenantScope, slug: str) -> int | None:
        """Take one out and return the position of that, None if there is none."""
        ...


class Wanted(msgspec.Struct, frozen=True):
    """Which entries; None does not narrow. `after` is the slug that a page begins behind."""

    text: str | None = None
    kind: str | None = None
    after: str | None = None


class Catalogue:
    """What can be installed. `known` are the platform's entries; a tenant's own of the same name hides one."""

    def __init__(self, shelf: Shelf, known: Sequence[Shelved], rules: LaunchRules) -> None:
        self._shelf = shelf
        self._known: Mapping[str, Shelved] = {shelved.entry.slug: shelved for shelved in known}
        self._rules = rules

    async def search(self, scope: TenantScope, wanted: Wanted, limit: int, offset: int) -> tuple[list[Entry], int]:
        """Return a page of entries in the order of their slugs, and how many match in all."""
        every = {slug: shelved.entry for slug, shelved in self._known.items()}
        every |= {entry.slug: entry for entry in await self._shelf.entries(scope)}
        found = sorted(
            (entry for entry in every.values() if entry.matches(wanted.text, wanted.kind)), key=lambda entry: entry.slug
        )
        if wanted.after is not None:
            return [entry for entry in found if entry.slug > wanted.after][:limit], len(found)
        return found[offset : offset + limit], len(found)

    async def read(self, scope: TenantScope, slug: str) -> Shelved:
        """Return an entry. Raises `NotFound`."""
        shelved = await self._shelf.find(scope, slug) or self._known.get(slug)
        if shelved is None:
            raise NotFound(f"The catalogue has no entry {slug[:80]!r}.")
        return shelved

    async def add(self, scope: TenantScope, server: ServerJson, entry_id: UUID) -> tuple[Shelved, int]:
        """Add an entry of the tenant's own. Raises `Unprocessable`, `TooLarge`, `EntryExists` or `Conflict`."""
        check_entry(server)
        if slug_of_entry(server.name) in self._known:
            raise EntryExists(f"An entry named {server.name!r} comes with the platform.")
        return await self._shelf.add(scope, server, entry_id)

    async def remove(self, scope: TenantScope, slug: str) -> int:
        """Take an entry of the tenant's own out. Servers that were installed from it stay. Raises `NotFound`."""
        position = await self._shelf.remove(scope, slug)
        if position is None:
            raise NotFound(f"The tenant has no entry {slug[:80]!r} of its own.")
        return position

    def ways(self, shelved: Shelved) -> list[Way]:
        """Return the ways to install an entry."""
        return ways_of(shelved.server)

    async def prepare(self, scope: TenantScope, slug: str, choice: Choice) -> ServerDefinition:
        """Return the server that an installation would register. Nothing is kept, and nothing started.

        Raises `NotFound`, `NotInstallable`, `Unprocessable` with all faults of the values, and what the registry and
        this deployment refuse.
        """
        shelved = await self.read(scope, slug)
        if shelved.entry.origin == "bundled":
            name = shelved.entry.name.rpartition("/")[2]
            raise NotInstallable(f"This comes with the platform: it is the server {name!r} already.")
        definition = definition_of(shelved.entry, shelved.server, choose(shelved.server, choice), choice)
        check_definition(definition)
        self._rules.check(definition)
        return definition
