"""An HTTP client that goes out to public addresses only: what tenants name must not reach the platform's own network.

The name is resolved here, every address it has must be public, and the connection goes to one of those very addresses:
there is no second resolution that could give another answer. The URL is left as it is, so the Host header, the TLS
server name and the certificate check are those of the name. The check stands where connections are made, so each hop
of a redirect passes it too; redirects are not followed unless a request asks for it.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address

import httpcore2
import httpx2

from shared.errors import PlatformError
from shared.limits import CONNECT_TIMEOUT_S, RESOLVED_ADDRESSES_MAX
from shared.net.addresses import is_public

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host name as text, for a port."""


class AddressRefused(PlatformError):
    """The host is, or resolves to, an address that is not on the public internet."""

    code = "address_refused"


def parse_allowed_hosts(text: str) -> frozenset[str]:
    """Read `host:port,host:port`: the destinations that a deployment allows whatever their address is."""
    return frozenset(part.strip().lower() for part in text.split(",") if part.strip())


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system. Old notations such as `127.1` or `0x7f000001` come out as the address that they stand for."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(f"{host!r} cannot be resolved: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Makes connections to public addresses, and to the hosts that the deployment allows."""

    def __init__(
        self,
        allowed_hosts: frozenset[str],
        *,
        resolver: Resolver = resolve,
        backend: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allowed = allowed_hosts
        self._resolve = resolver
        self._backend = backend if backend is not None else httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers. Raises `AddressRefused` if any address of the host is not public.

        `timeout` bounds the resolution and each attempt.
        """
        seconds = CONNECT_TIMEOUT_S if timeout is None else timeout
        addresses = await self._checked(host, port, seconds)
        failure: Exception | None = None
        for address in addresses[:RESOLVED_ADDRESSES_MAX]:
            try:
                return await self._backend.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure if failure is not None else httpcore2.ConnectError(f"{host!r} has no address.")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the interface's
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 - as above
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: nothing out there is a local socket."""
        raise AddressRefused("Requests cannot go to a local socket.", details={"path": path})

    async def sleep(self, seconds: float) -> None:
        """Pause between the pool's own attempts."""
        await self._backend.sleep(seconds)

    async def _checked(self, host: str, port: int, seconds: float) -> list[str]:
        try:
            async with asyncio.timeout(seconds):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host!r} was not resolved within {seconds:g} s.") from error
        if f"{host.lower().rstrip('.')}:{port}" not in self._allowed and not all(map(_is_public_text, addresses)):
            # Which address it was is not said: that would make this an oracle for names inside the network.
            raise AddressRefused(
                f"{host!r} is not on the public internet: requests to it are refused.", details={"host": host}
            )
        return addresses


def _is_public_text(address: str) -> bool:
    try:
        return is_public(ip_address(address))
    except ValueError:
        return False


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's own transport over our way of connecting: its mapping of errors and streams stays as it is."""

    def __init__(self, backend: GuardedBackend, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        # The transport has no parameter for the backend. The pool that it made holds no connection yet.
        self._pool = httpcore2.AsyncConnectionPool(ssl_context=tls, network_backend=backend)


_tls: list[ssl.SSLContext] = []


def guarded_client(allowed_hosts: frozenset[str], *, backend: GuardedBackend | None = None) -> httpx2.AsyncClient:
    """Return a client for URLs that tenants name. `allowed_hosts` are `host:port` that may have any address.

    Proxies of the environment are not used: a proxy would resolve the name once more, behind the check.
    """
    if not _tls:
        _tls.append(httpx2.create_ssl_context(trust_env=False))  # 20 ms: made once, at the first need
    guarded = backend if backend is not None else GuardedBackend(allowed_hosts)
    return httpx2.AsyncClient(transport=_GuardedTransport(guarded, _tls[0]), trust_env=False, follow_redirects=False)
