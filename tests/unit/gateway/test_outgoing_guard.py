"""Where requests on a tenant's behalf may go. Names resolve to what the row says; nothing leaves the process."""

import socket
from collections.abc import Iterable

import httpcore2
import httpx2
import pytest

from shared.net.guard import AddressRefused, GuardedBackend, guarded_client, parse_allowed_hosts, resolve

REFUSED = """
http://127.0.0.1/ http://127.0.0.1:8080/ http://127.1/ http://127.0.1/ http://127.255.255.254/ http://0x7f000001/
http://0x7f.0.0.1/ http://0177.0.0.1/ http://0177.0.0.01/ http://2130706433/ http://017700000001/ http://0/ http://0.0.0.0/
http://0.1.2.3/ http://localhost/ http://10.0.0.1/ http://10.255.255.255/ http://172.16.0.1/ http://172.31.255.255/
http://192.168.0.1/ http://192.168.255.255/ http://169.254.169.254/latest/meta-data/ http://169.254.0.1/
http://0xa9fea9fe/ http://2852039166/ http://0251.0376.0251.0376/ http://100.64.0.1/ http://100.100.100.200/
http://100.127.255.255/ http://192.0.0.1/ http://192.0.0.192/ http://192.0.2.1/ http://192.88.99.1/ http://198.18.0.1/
http://198.19.255.255/ http://198.51.100.1/ http://203.0.113.1/ http://224.0.0.1/ http://239.255.255.255/
http://240.0.0.1/ http://255.255.255.255/ http://168.63.129.16/ http://192.31.196.1/ http://192.52.193.1/
http://192.175.48.1/ http://[::1]/ http://[::]/ http://[::ffff:127.0.0.1]/ http://[::ffff:8.8.8.8]/ http://[::127.0.0.1]/
http://[::ffff:169.254.169.254]/ http://[::ffff:0:127.0.0.1]/ http://[64:ff9b::127.0.0.1]/ http://[64:ff9b::8.8.8.8]/
http://[64:ff9b:1::1]/ http://[100::1]/ http://[fe80::1]/ http://[febf::1]/ http://[fec0::1]/ http://[fc00::1]/
http://[fd00:ec2::254]/ http://[ff02::1]/ http://[2001::1]/ http://[2001:10::1]/ http://[2001:db8::1]/
http://[2002:7f00:1::]/ http://[2002:a00:1::1]/ http://[3fff::1]/ http://[2620:4f:8000::1]/ http://[5f00::1]/
http://[4000::1]/ https://127.0.0.1/ http://user@127.0.0.1/ http://8.8.8.8@127.0.0.1/ http://127.0.0.1./
""".split()  # noqa: SIM905 - a table to be read

PUBLIC = """
http://8.8.8.8/ https://1.1.1.1/ http://9.255.255.255/ http://11.0.0.0/ http://100.63.255.255/ http://100.128.0.1/
http://172.15.255.255/ http://172.32.0.1/ http://192.167.255.255/ http://169.253.255.255/ http://198.17.255.255/
http://223.255.255.255/ http://[2606:4700:4700::1111]/ http://[2a00:1450:4001::1]/ http://134744072/
""".split()  # noqa: SIM905 - a table to be read


class NoConnections(httpcore2.AsyncNetworkBackend):
    """Notes where a connection would go, and makes none."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.asked.append(f"{host}:{port}")
        raise httpcore2.ConnectError("noted")


def guarded(names: dict[str, list[str]] | None = None, allowed: str = "") -> tuple[httpx2.AsyncClient, NoConnections]:
    async def lookup(host: str, port: int) -> list[str]:
        if names is not None and host in names:
            return names[host]
        return await resolve(host, port)

    notes = NoConnections()
    backend = GuardedBackend(parse_allowed_hosts(allowed), resolver=lookup, backend=notes)
    return guarded_client(frozenset(), backend=backend), notes


@pytest.mark.parametrize("url", REFUSED)
async def test_what_is_not_public_is_refused(url: str) -> None:
    client, notes = guarded({"localhost": ["127.0.0.1"], "127.0.0.1.": ["127.0.0.1"]})
    async with client:
        with pytest.raises((AddressRefused, httpx2.InvalidURL, httpx2.ConnectError)) as refusal:
            await client.get(url)
    assert notes.asked == []
    if isinstance(refusal.value, httpx2.ConnectError):
        assert "cannot be resolved" in str(refusal.value)


@pytest.mark.parametrize("url", PUBLIC)
async def test_what_is_public_is_connected_to(url: str) -> None:
    client, notes = guarded()
    async with client:
        with pytest.raises(httpx2.ConnectError, match="noted"):
            await client.get(url)
    assert len(notes.asked) == 1


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])  # a name that changes its mind

    async def lookup(_: str, __: int) -> list[str]:
        return next(answers)

    notes = NoConnections()
    async with guarded_client(
        frozenset(), backend=GuardedBackend(frozenset(), resolver=lookup, backend=notes)
    ) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://rebinding.example/")
        assert notes.asked == ["8.8.8.8:80"]
        with pytest.raises(AddressRefused):
            await client.get("http://rebinding.example/")
    assert notes.asked == ["8.8.8.8:80"]


@pytest.mark.parametrize("addresses", [["8.8.8.8", "10.0.0.1"], ["::1", "8.8.8.8"], ["fe80::1%eth0"], ["garbage"]])
async def test_one_bad_address_spoils_a_name(addresses: list[str]) -> None:
    client, notes = guarded({"mixed.example": addresses})
    async with client:
        with pytest.raises(AddressRefused) as refusal:
            await client.get("http://mixed.example/")
    assert notes.asked == []
    assert not any(address in str(refusal.value) for address in addresses)


async def test_further_addresses_are_tried_and_not_without_end() -> None:
    client, notes = guarded({"many.example": [f"8.8.8.{last}" for last in range(20)]})
    async with client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://many.example/")
    assert notes.asked == [f"8.8.8.{last}:80" for last in range(4)]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://inner.example:9000/", True),
        ("http://INNER.example:9000/", True),
        ("http://inner.example:9001/", False),
        ("http://inner.example/", False),
        ("http://other.example:9000/", False),
        ("http://inner.example.other.example:9000/", False),
    ],
)
async def test_a_deployment_allows_a_host_with_its_port(url: str, *, allowed: bool) -> None:
    inside = {name: ["10.0.0.7"] for name in ("inner.example", "other.example", "inner.example.other.example")}
    client, notes = guarded(inside, " Inner.example:9000 ,x:1")
    async with client:
        with pytest.raises(httpx2.ConnectError if allowed else AddressRefused):
            await client.get(url)
    assert bool(notes.asked) is allowed


async def test_a_redirect_is_not_followed_and_if_followed_checked() -> None:
    class Redirecting(NoConnections):
        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109 - the interface's
            local_address: str | None = None,
            socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
        ) -> httpcore2.AsyncNetworkStream:
            self.asked.append(f"{host}:{port}")
            head = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n"
            answer = f"{head}Connection: close\r\nContent-Length: 0\r\n\r\n".encode()
            return httpcore2.AsyncMockStream([answer])

    notes = Redirecting()
    async with guarded_client(frozenset(), backend=GuardedBackend(frozenset(), backend=notes)) as client:
        assert (await client.get("http://8.8.8.8/")).status_code == 302
        with pytest.raises(AddressRefused):
            await client.get("http://8.8.8.8/", follow_redirects=True)
    assert set(notes.asked) == {"8.8.8.8:80"}


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://8.8.4.4:3128")
    client, notes = guarded()
    async with client:
        with pytest.raises(AddressRefused):
            await client.get("http://127.0.0.1/")
    assert notes.asked == []


async def test_a_name_that_does_not_resolve_is_a_connect_error() -> None:
    with pytest.raises(httpcore2.ConnectError):
        await resolve("a" * 70 + ".invalid", 80)


def test_the_table_is_large_enough() -> None:
    assert len(REFUSED) + len(PUBLIC) >= 60
    assert socket.has_ipv6
