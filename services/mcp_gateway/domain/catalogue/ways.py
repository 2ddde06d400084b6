"""The ways to install an entry: each becomes the description of a server, or says why it cannot."""

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args
from urllib.parse import quote, urlsplit

import msgspec

from services.mcp_gateway.domain.catalogue.command_line import npx_line, uvx_line
from services.mcp_gateway.domain.catalogue.entries import Entry
from services.mcp_gateway.domain.catalogue.filling import SECRET, Asked, Filling, Given
from services.mcp_gateway.domain.catalogue.server_json import Input, NamedValue, Package, Remote, ServerJson, Stdio
from services.mcp_gateway.domain.server import ServerConfig, ServerDefinition, ServerType, slug_of
from services.mcp_gateway.errors import NotInstallable
from shared.errors import FieldFault, Unprocessable

Kind = Literal["package", "remote"]
_PYPI = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_NPM = re.compile(r"(@[A-Za-z0-9][A-Za-z0-9._~-]*/)?[A-Za-z0-9][A-Za-z0-9._~-]*")
_PYPI_VERSION = re.compile(r"v?[0-9][0-9A-Za-z.+_!-]*")
_NPM_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_HOST = re.compile(r"[A-Za-z0-9.:-]+")

# The public registry of a type goes by the type's name. The programs that start packages know it themselves.
_PUBLIC_REGISTRY = re.compile(r"https://(registry\.)?(?P<type>[a-z]+?)(js)?\.org/?")

# Registry type -> what starts its packages, their names and their versions.
_SUPPORTED = {
    "pypi": ("uvx", _PYPI, _PYPI_VERSION),
    "npm": ("npx", _NPM, _NPM_VERSION),
}
_WHY_NOT = {
    "oci": "There is no container runtime here: images are not run.",
    "nuget": "There is no .NET here: packages of NuGet are not run.",
    "mcpb": "Bundles are downloaded from anywhere: they are not run here.",
}
_TRANSPORTS = {"streamable-http": "streamable_http", "sse": "sse"}


class Way(msgspec.Struct, frozen=True):
    """One way to install an entry. `refused` says why it is none here; `asks` are the values that may be given."""

    kind: Kind
    index: int
    type: str
    target: str
    refused: str | None = None
    asks: list[Asked] = []


class Choice(msgspec.Struct, frozen=True):
    """What whoever installs chose. Without `package` and `remote` the first way holds that is one here."""

    values: Given = {}
    package: int | None = None
    remote: int | None = None
    slug: str | None = None
    name: str | None = None


def ways_of(server: ServerJson) -> list[Way]:
    """Return all ways of an entry, packages first, as the entry orders them."""
    packages = [
        Way("package", at, package.registry_type, package.identifier, *_packaged(package))
        for at, package in enumerate(server.packages)
    ]
    return packages + [
        Way("remote", at, _type_of(remote), remote.url, *_remote(remote)) for at, remote in enumerate(server.remotes)
    ]


def choose(server: ServerJson, choice: Choice) -> Way:
    """Return the way that is to be gone. Raises `NotInstallable` with what is wrong with each."""
    ways = ways_of(server)
    if choice.package is not None and choice.remote is not None:
        raise NotInstallable("Choose a package or a remote, not both.")
    for kind, index in (("package", choice.package), ("remote", choice.remote)):
        if index is not None:
            ways = [way for way in ways if (way.kind, way.index) == (kind, index)]
            if not ways:
                raise NotInstallable(f"The entry has no {kind} {index}.")
    for way in ways:
        if way.refused is None:
            return way
    faults = [FieldFault(f"{way.kind}s[{way.index}]", way.refused or "", "not_installable") for way in ways]
    reason = faults[0].message if faults else "The entry has neither a package nor a remote."
    raise NotInstallable(reason, faults=faults)


def definition_of(entry: Entry, server: ServerJson, way: Way, choice: Choice) -> ServerDefinition:
    """Return the server that a way makes with the values of a choice. Raises `Unprocessable` with all faults."""
    filling = Filling(choice.values)
    if way.kind == "package":
        reached = _launched(server.packages[way.index], filling, f"packages[{way.index}]")
    else:
        reached = _addressed(server.remotes[way.index], filling, f"remotes[{way.index}]")
    faults = filling.finish()
    if faults:
        raise Unprocessable(f"{faults[0].path}: {faults[0].message}", faults=faults)
    name = choice.name if choice.name is not None else entry.title
    return ServerDefinition(
        name=name,
        slug=choice.slug if choice.slug is not None else slug_of(entry.name.rpartition("/")[2]),
        description=entry.description,
        version=entry.version,
        author=entry.name.partition("/")[0],
        installed_from=f"{entry.name}@{entry.version}",
        **reached,
    )


def _packaged(package: Package) -> tuple[str | None, list[Asked]]:
    refused = _why_not(package)
    if refused is not None:
        return refused, []
    filling = Filling({})
    _launched(package, filling, "")
    return None, filling.asked


def _why_not(package: Package) -> str | None:
    if package.registry_type not in _SUPPORTED:
        return _WHY_NOT.get(package.registry_type, f"Packages of {package.registry_type!r} are not known here.")
    return next(_obstacles(package), None)


def _obstacles(package: Package) -> Iterator[str]:
    command, names, versions = _SUPPORTED[package.registry_type]
    if not isinstance(package.transport, Stdio):
        yield "The package opens a port of its own; only those that speak on their standard streams are started."
    if package.registry_base_url is not None:
        public = _PUBLIC_REGISTRY.fullmatch(package.registry_base_url)
        if public is None or public["type"] != package.registry_type:
            yield f"Packages are taken from the public registry of {package.registry_type} alone."
    if package.runtime_hint not in {None, command}:
        yield f"Packages of {package.registry_type} are started with {command}, not with {package.runtime_hint!r}."
    if names.fullmatch(package.identifier) is None:
        yield f"{package.identifier!r} is no name of a package there."
    if package.version is None or versions.fullmatch(package.version) is None:
        yield "The package has to name one version: what runs here would change by itself."


def _remote(remote: Remote) -> tuple[str | None, list[Asked]]:
    if _TRANSPORTS[_type_of(remote)] not in get_args(ServerType):
        return f"Servers of the type {_type_of(remote)} are not reached from here.", []
    filling = Filling({})
    _addressed(remote, filling, "")
    return None, filling.asked


def _type_of(remote: Remote) -> str:
    return str(remote.__struct_config__.tag)


def _launched(package: Package, filling: Filling, path: str) -> dict[str, Any]:
    line = npx_line if package.registry_type == "npm" else uvx_line
    command, *arguments = line(package, filling, path)
    variables = _named(package.environment_variables, filling, f"{path}.environmentVariables")
    return {"server_type": "stdio", "command": command, "args": tuple(arguments), "env_vars": variables}


def _addressed(remote: Remote, filling: Filling, path: str) -> dict[str, Any]:
    url = _url(remote.url, remote.variables, filling, path)
    headers = _named(remote.headers, filling, f"{path}.headers")
    kind = _TRANSPORTS[_type_of(remote)]
    return {"server_type": kind, "url": url, "config": ServerConfig(headers=headers)}


def _named(items: tuple[NamedValue, ...], filling: Filling, path: str) -> dict[str, str]:
    found = {}
    for at, item in enumerate(items):
        for filled in filling.all_of(item.name, f"{path}[{at}]", item):
            found[item.name] = filled.text
    return found


def _url(template: str, variables: dict[str, Input], filling: Filling, path: str) -> str:
    """Return a URL in which no value reaches beyond its place, but one that the URL begins with."""
    first, *rest = re.split(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", template)
    parts = [(first, False)]
    for name, text in zip(rest[::2], rest[1::2], strict=True):
        if name not in variables:
            parts += [(f"{{{name}}}", False), (text, False)]
            continue
        filled = filling.variable(name, f"{path}.variables.{name}", variables[name], required=True)
        if filled is not None:
            whole = parts == [("", False)] or SECRET.fullmatch(filled.text)
            parts += [(filled.text if whole else quote(filled.text, safe=""), filled.given), (text, False)]
    joined = filling.joined(parts, f"{path}.url")
    url = "" if joined is None else joined.text
    if _HOST.fullmatch(_host_of(url)) is None and not filling.faults:
        filling.fault(f"{path}.url", "The host of the URL is none with these values.")
    return url


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
