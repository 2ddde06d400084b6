"""Entries of the catalogue: servers that can be installed, and the rules of publishing one."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from services.mcp_gateway.domain.catalogue.server_json import (
    Input,
    NamedArgument,
    PositionalArgument,
    ServerJson,
    Stdio,
    Template,
)
from services.mcp_gateway.limits import CATALOGUE_ENTRY_MAX_BYTES
from shared.errors import FieldFault, TooLarge, Unprocessable
from shared.nesting import is_deep
from shared.secrets.references import OPENING as SECRET_OPENING

Origin = Literal["bundled", "listed", "own"]
"""`bundled` comes with the platform and every tenant has it; `listed` is known to it and was not run; `own` is the
tenant's."""

SLUG_MAX_CHARS = 200
_RANGE = re.compile(r"[\^~<>=*|\s]|(?:^|\.)[xX](?:\.|$)")


class Entry(msgspec.Struct, frozen=True):
    """An entry as lists show it. `kinds` are the registries of its packages and the transports of its remotes."""

    slug: str
    name: str
    title: str
    description: str
    version: str
    kinds: tuple[str, ...]
    origin: Origin
    added_at: dt.datetime | None = None

    def matches(self, text: str | None, kind: str | None) -> bool:
        """Whether it has each word of a text somewhere in its texts, in whatever case, and offers a way of a kind."""
        said = f"{self.name} {self.title} {self.description}".casefold()
        return (kind is None or kind in self.kinds) and all(word in said for word in (text or "").casefold().split())


def slug_of_entry(name: str) -> str:
    """Return how a name stands in a URL: in lower case, with `~`, which no name has, for its one slash."""
    return name.lower().replace("/", "~")


def entry_of(server: ServerJson, origin: Origin, added_at: dt.datetime | None = None) -> Entry:
    """Return what lists show of a published server."""
    kinds = [package.registry_type for package in server.packages]
    kinds += [str(remote.__struct_config__.tag) for remote in server.remotes]
    return Entry(
        slug=slug_of_entry(server.name),
        name=server.name,
        title=server.title or server.name.rpartition("/")[2],
        description=server.description,
        version=server.version,
        kinds=tuple(dict.fromkeys(kinds)),
        origin=origin,
        added_at=added_at,
    )


def check_entry(server: ServerJson) -> None:
    """Raise `Unprocessable` with all faults of what a tenant publishes, or `TooLarge`."""
    if is_deep(server.meta):
        message = "This is nested too deeply."
        raise Unprocessable(message, faults=[FieldFault("_meta", message)])
    if len(msgspec.json.encode(server)) > CATALOGUE_ENTRY_MAX_BYTES:
        raise TooLarge(f"An entry has at most {CATALOGUE_ENTRY_MAX_BYTES:,} bytes as JSON.")
    faults = [*_version_faults(server), *_secret_faults(server), *_argument_faults(server)]
    if not server.packages and not server.remotes:
        faults.append(FieldFault("packages", "There is no way to install this: it needs a package or a remote."))
    if faults:
        raise Unprocessable(f"{faults[0].path}: {faults[0].message}", faults=faults)


def _version_faults(server: ServerJson) -> Iterator[FieldFault]:
    versions = [("version", server.version)]
    versions += [(f"packages[{at}].version", package.version or "") for at, package in enumerate(server.packages)]
    for path, version in versions:
        if version == "latest" or _RANGE.search(version):
            yield FieldFault(path, "This names one version, neither a range nor the latest.", "version_not_exact")


def _secret_faults(server: ServerJson) -> Iterator[FieldFault]:
    # Whoever publishes an entry must not choose which of the installing tenant's secrets goes where.
    for path, item in inputs_of(server):
        for field in ("value", "default"):
            if SECRET_OPENING in (getattr(item, field) or ""):
                yield FieldFault(f"{path}.{field}", "Only whoever installs a server names secrets.", "secret_not_given")
    for at, remote in enumerate(server.remotes):
        if SECRET_OPENING in remote.url:
            yield FieldFault(f"remotes[{at}].url", "Only whoever installs a server names secrets.", "secret_not_given")


def _argument_faults(server: ServerJson) -> Iterator[FieldFault]:
    for path, item in inputs_of(server):
        if isinstance(item, PositionalArgument) and item.value_hint is None and item.value is None:
            yield FieldFault(path, "A positional argument has a value, or a valueHint that names it.")


def inputs_of(server: ServerJson) -> Iterator[tuple[str, Input]]:
    """Yield every input of an entry, those within others too, with the path to it."""
    for at, package in enumerate(server.packages):
        here = f"packages[{at}]"
        yield from _within(f"{here}.runtimeArguments", package.runtime_arguments)
        yield from _within(f"{here}.packageArguments", package.package_arguments)
        yield from _within(f"{here}.environmentVariables", package.environment_variables)
        if not isinstance(package.transport, Stdio):
            yield from _within(f"{here}.transport.headers", package.transport.headers)
            variables = package.transport.variables
            yield from ((f"{here}.transport.variables.{name}", item) for name, item in variables.items())
    for at, remote in enumerate(server.remotes):
        yield from _within(f"remotes[{at}].headers", remote.headers)
        yield from ((f"remotes[{at}].variables.{name}", item) for name, item in remote.variables.items())


def _within(path: str, items: tuple[Template | NamedArgument, ...]) -> Iterator[tuple[str, Input]]:
    for at, item in enumerate(items):
        yield f"{path}[{at}]", item
        yield from ((f"{path}[{at}].variables.{name}", within) for name, within in item.variables.items())
