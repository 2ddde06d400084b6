"""How the gateway gets access to a server that wants OAuth (MCP, authorization)."""

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from services.mcp_gateway.limits import AUTH_TEXT_MAX_CHARS
from shared.errors import FieldFault

_SECRET = re.compile(r"\{secret\.[A-Za-z_][A-Za-z0-9_]{0,62}\}")


class ClientCredentials(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="oauth_client_credentials"
):
    """The gateway is a client of its own at the server's authorization server (OAuth 2.1, section 4.2).

    `issuer` is that authorization server: the secret goes there and nowhere else, whatever the MCP server says.
    """

    issuer: str
    client_id: str
    client_secret: str
    scope: str | None = None
    client_auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"


def auth_faults(auth: ClientCredentials | None, server_type: str, headers: dict[str, str]) -> Iterator[FieldFault]:
    """Yield what is wrong with the way to get access, if there is one."""
    if auth is None:
        return
    if server_type != "streamable_http":
        yield FieldFault("config.auth", "Only a streamable HTTP server has this.")
    try:
        issuer = urlsplit(auth.issuer)
        good = issuer.scheme in {"http", "https"} and bool(issuer.hostname) and issuer.username is None
    except ValueError:
        good = False
    if not good:
        yield FieldFault("config.auth.issuer", "This needs the http or https URL of the authorization server.")
    if not 0 < len(auth.client_id) <= AUTH_TEXT_MAX_CHARS or len(auth.scope or "") > AUTH_TEXT_MAX_CHARS:
        yield FieldFault("config.auth.client_id", f"An id has 1 to {AUTH_TEXT_MAX_CHARS} characters, a scope at most.")
    for name in ("issuer", "client_id", "scope"):
        if "{secret." in (getattr(auth, name) or ""):
            yield FieldFault(f"config.auth.{name}", "Only the client's secret is taken from a secret.")
    if _SECRET.fullmatch(auth.client_secret) is None:
        yield FieldFault("config.auth.client_secret", "This needs the name of a secret: {secret.NAME}.")
    if any(name.lower() == "authorization" for name in headers):
        yield FieldFault("config.auth", "There is an Authorization header already.")
