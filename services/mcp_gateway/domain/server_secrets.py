"""`{secret.NAME}` in what a server is started with: where it may stand, and what it becomes."""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import msgspec

from services.mcp_gateway.domain.server import ServerDefinition
from shared.errors import FieldFault
from shared.secrets.references import NAME, OPENING, REFERENCE, resolve_secrets

Lookup = Callable[[str], str]

_WHOLE: tuple[tuple[str | int, ...], ...] = ((),)


def secret_texts(definition: ServerDefinition) -> list[str]:
    """Return the texts of a description that may hold references."""
    return [
        *definition.args,
        *definition.env_vars.values(),
        *definition.config.headers.values(),
        *([definition.config.auth.client_secret] if definition.config.auth is not None else ()),
        *([definition.url] if definition.url is not None else ()),
    ]


def secret_faults(definition: ServerDefinition) -> Iterator[FieldFault]:
    """Yield a fault for each reference that stands where none is filled in, or that names no secret."""
    places = {
        **{f"args[{number}]": value for number, value in enumerate(definition.args)},
        **{f"env_vars.{name}": value for name, value in definition.env_vars.items()},
        **{f"config.headers.{name}": value for name, value in definition.config.headers.items()},
        "url": definition.url or "",
    }
    for path, text in places.items():
        if OPENING in text and text.count(OPENING) != sum(map(_is_name, REFERENCE.findall(text))):
            yield FieldFault(path, "A secret is written {secret.NAME}: letters, digits and _, at most 63.")
    address, query = _parted(definition.url or "")
    if OPENING in address or OPENING in query.partition("#")[2]:
        yield FieldFault("url", "A secret can stand only in the query of a URL; elsewhere use a header.")
    if OPENING in (definition.command or ""):
        yield FieldFault("command", "A command is no place for a secret; use an environment variable.")


def filled(definition: ServerDefinition, lookup: Lookup) -> ServerDefinition:
    """Return the description with the values of its secrets. Raises what `lookup` raises.

    In a URL values are percent-encoded: none can change where the request goes, or what else it asks for.
    """

    def fill(text: str) -> str:
        return str(resolve_secrets(text, _WHOLE, lookup)) if OPENING in text else text

    url = definition.url
    if url is not None and OPENING in url:
        address, query = _parted(url)
        url = f"{address}?{resolve_secrets(query, _WHOLE, lambda name: quote(lookup(name), safe=''))}"
    auth = definition.config.auth
    if auth is not None:
        auth = msgspec.structs.replace(auth, client_secret=fill(auth.client_secret))
    return msgspec.structs.replace(
        definition,
        args=tuple(map(fill, definition.args)),
        env_vars={name: fill(value) for name, value in definition.env_vars.items()},
        config=msgspec.structs.replace(
            definition.config,
            headers={name: fill(value) for name, value in definition.config.headers.items()},
            auth=auth,
        ),
        url=url,
    )


def _is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def _parted(url: str) -> tuple[str, str]:
    """Return what stands before the first `?`, and after it."""
    address, _, query = url.partition("?")
    return address, query
