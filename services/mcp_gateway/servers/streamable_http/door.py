"""Who may come in: no page of a browser by a name that leads here (DNS rebinding), and nobody without the token."""

import hmac
import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from services.mcp_gateway.servers.streamable_http.refusals import HttpRefused


class Door(msgspec.Struct, frozen=True):
    """`loopback`: whether only this machine can reach us. `token`: what each request has to bear, if anything."""

    loopback: bool
    token: str | None

    def check(self, headers: dict[str, str]) -> None:
        """Raise `HttpRefused` for a request that may not come in. The names of the headers are in lower case."""
        host = headers.get("host", "")
        if self.loopback and not is_loopback(_host_of(f"//{host}")):
            raise HttpRefused(HTTPStatus.MISDIRECTED_REQUEST, "The Host header names another host than this one.")
        origin = headers.get("origin")
        if origin is not None and not self._trusts(origin, host):
            raise HttpRefused(HTTPStatus.FORBIDDEN, "Pages of this origin may not use this server.")
        if self.token is not None and not _bears(headers.get("authorization", ""), self.token):
            challenge = {"www-authenticate": "Bearer"}
            raise HttpRefused(HTTPStatus.UNAUTHORIZED, "This server wants a bearer token.", headers=challenge)

    def _trusts(self, origin: str, host: str) -> bool:
        if self.loopback:
            return is_loopback(_host_of(origin))
        return origin in {f"http://{host}", f"https://{host}"}


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine for everybody: `localhost` or an address of the loopback."""
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(url: str) -> str | None:
    """Return the host of a URL, or None if it is none: one with a port that is no number, for instance."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname


def _bears(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
