"""The JSON of the catalogue, of imports and of exports."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from services.mcp_gateway.app.catalogue import Shelved
from services.mcp_gateway.app.imports import Imported
from services.mcp_gateway.domain.catalogue.entries import Entry
from services.mcp_gateway.domain.catalogue.server_json import ServerJson
from services.mcp_gateway.domain.catalogue.ways import Choice, Way
from services.mcp_gateway.domain.clients.placeholders import SecretNeeded
from services.mcp_gateway.domain.server import ServerDefinition
from services.mcp_gateway.limits import (
    CATALOGUE_WORD_MAX_CHARS,
    IMPORT_MAX_BYTES,
    INSTALL_REPEATS_MAX,
    INSTALL_VALUES_MAX,
    SERVER_TEXT_MAX_CHARS,
)
from shared.errors import FieldFault

Value = Annotated[str, Meta(max_length=SERVER_TEXT_MAX_CHARS)]
Key = Annotated[str, Meta(max_length=CATALOGUE_WORD_MAX_CHARS)]
Values = Annotated[
    dict[Key, Value | Annotated[list[Value], Meta(max_length=INSTALL_REPEATS_MAX)]], Meta(max_length=INSTALL_VALUES_MAX)
]
Index = Annotated[int, Meta(ge=0, le=1_000)]


class EntryView(msgspec.Struct, frozen=True):
    """An entry of the catalogue. `origin` is `bundled`, `listed` (public, and not run here) or `own`."""

    slug: str
    name: str
    title: str
    description: str
    version: str
    kinds: tuple[str, ...]
    origin: str
    added_at: dt.datetime | None


class EntryList(msgspec.Struct, frozen=True):
    """A page of the catalogue."""

    entries: list[EntryView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None


class EntryDetail(EntryView, frozen=True):
    """An entry with its `server.json`, and the ways to install it with the values that each asks for."""

    server: ServerJson
    ways: list[Way]


class InstallRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to install an entry. `values` are those that the way asks for; `package` and `remote` count from 0."""

    values: Values = {}
    package: Index | None = None
    remote: Index | None = None
    slug: str | None = None
    name: str | None = None

    def choice(self) -> Choice:
        return Choice(self.values, self.package, self.remote, self.slug, self.name)


class ImportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client's file: its text, with or without comments, or the object in it. `inputs` answer what it asks for."""

    config: dict[str, Any] | Annotated[str, Meta(max_length=IMPORT_MAX_BYTES)]
    apply: bool = False
    inputs: Annotated[dict[Key, Value], Meta(max_length=INSTALL_VALUES_MAX)] = {}


class ImportedView(msgspec.Struct, frozen=True):
    """What becomes of one server of a file. `server` is what is, or would be, registered."""

    name: str
    slug: str
    status: Literal["ready", "refused", "registered", "there"]
    faults: list[FieldFault]
    notes: list[str]
    secrets: list[SecretNeeded]
    server: ServerDefinition | None
    server_id: UUID | None


class ImportAnswer(msgspec.Struct, frozen=True):
    """What becomes of a file. Without `applied` nothing was registered."""

    applied: bool
    servers: list[ImportedView]


def entry_view(entry: Entry) -> EntryView:
    """Return an entry as it is shown."""
    return EntryView(**msgspec.structs.asdict(entry))


def entry_detail(shelved: Shelved, ways: list[Way]) -> EntryDetail:
    """Return an entry as it is shown in full."""
    return EntryDetail(**msgspec.structs.asdict(shelved.entry), server=shelved.server, ways=ways)


def imported_view(imported: Imported) -> ImportedView:
    """Return what becomes of a server as it is shown."""
    draft = imported.draft
    return ImportedView(
        name=draft.name,
        slug=draft.slug,
        status=imported.status,
        faults=imported.faults,
        notes=draft.notes,
        secrets=draft.secrets,
        server=draft.definition,
        server_id=imported.server_id,
    )
