"""What one endpoint offers: the things of several servers under names that are each other's."""

import re
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

from services.mcp_gateway.domain.param_headers import ParamHeaders
from services.mcp_gateway.domain.server import Server

SEPARATOR = "__"
_EXPRESSION = re.compile(r"\{[^{}]*\}")

T = TypeVar("T")


class Offered(msgspec.Struct, frozen=True):
    """A tool or prompt as it is listed: under `name` here, under `own_name` at its server."""

    name: str
    own_name: str
    server: Server
    definition: dict[str, Any]
    param_headers: ParamHeaders = {}


class OfferedResource(msgspec.Struct, frozen=True):
    """A resource or a template of resources. URIs are never rewritten: they stand inside of results too."""

    uri: str
    server: Server
    definition: dict[str, Any]


class Named(msgspec.Struct, Generic[T], frozen=True):
    """Something of a server, by its own name."""

    server: Server
    name: str
    what: T


def name_all(things: Iterable[Named[T]], *, prefixed: bool) -> dict[str, Named[T]]:
    """Give each thing its name: `server__name`, or unprefixed its own, which the first of several has for itself."""
    found: dict[str, Named[T]] = {}
    for thing in things:
        full = f"{thing.server.definition.slug}{SEPARATOR}{thing.name}"
        found[full if prefixed or thing.name in found else thing.name] = thing
    return found


def listed(definition: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a tool or prompt as clients see it: under its name here, and never without a description."""
    shown = {key: value for key, value in definition.items() if value is not None}
    return {**shown, "name": name, "description": shown.get("description") or definition.get("title") or name}


def template_matches(template: str, uri: str) -> bool:
    """Whether a URI may come from a template (RFC 6570): its fixed parts stand in it in their order. Linear."""
    parts = _EXPRESSION.split(template)
    if len(parts) == 1:
        return template == uri
    if not uri.startswith(parts[0]) or not uri.endswith(parts[-1]):
        return False
    place, end = len(parts[0]), len(uri) - len(parts[-1])
    for part in parts[1:-1]:
        found = uri.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return place <= end
