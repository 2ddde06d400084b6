"""The ways to the one tool that are compared."""

from collections.abc import Iterator

import msgspec

from bench.calls.served import Served
from bench.calls.spec import Load

OVER_STDIO, OVER_HTTP = "bench", "bench-http"

_EXECUTE = "/api/v1/mcp/execute"
_READS, _ACTS = "add", "post"


class Way(msgspec.Struct, frozen=True):
    """A way, under the name that its figures get. `direct` is the name of the way that it is held against."""

    name: str
    load: Load
    direct: str
    pid: int | None = None
    """Of the process in between, for whoever is not the gateway."""

    @property
    def ours(self) -> bool:
        """Whether its calls go through the gateway and are recorded."""
        return self.pid is None and self.name != self.direct


def direct_ways(upstream: str) -> Iterator[Way]:
    """The server without anything in between, over each transport."""
    yield Way("direct_stdio", _load("stdio"), "direct_stdio")
    yield Way("direct_http", _load("modern", address=upstream, path="/mcp"), "direct_http")


def gateway_ways(served: Served, mcp_path: str) -> Iterator[Way]:
    """Every way in, to the server over stdio: its tool that reads, and the one that acts. Then a server over HTTP."""
    for kind, tool in (("reads", _READS), ("acts", _ACTS)):
        rest = _load("rest", tool, address=served.socket, path=_EXECUTE, server=OVER_STDIO, credential=served.key)
        yield Way(f"rest_{kind}", rest, "direct_stdio")
        for era in ("handshake", "modern"):
            name = tool if mcp_path.count("/") > 1 else f"{OVER_STDIO}__{tool}"
            load = _load(era, name, address=served.socket, path=mcp_path, credential=served.key)
            yield Way(f"mcp_{era}_{kind}", load, "direct_stdio")
        task = _load(
            "nats", tool, address=served.nats_address, server=OVER_STDIO, credential=served.operator_seed,
            tenant_id=served.tenant_id,
        )  # fmt: skip
        yield Way(f"nats_{kind}", task, "direct_stdio")
        yield Way(f"nats_lists_{kind}", msgspec.structs.replace(task, in_list=16), "direct_stdio")
    edge = _load("rest", address=served.edge_address, path=_EXECUTE, server=OVER_STDIO, credential=served.key)
    yield Way("rest_by_edge_reads", edge, "direct_stdio")
    away = _load("rest", address=served.socket, path=_EXECUTE, server=OVER_HTTP, credential=served.key)
    yield Way("rest_http_upstream_reads", away, "direct_http")


def proxy_way(name: str, address: str, pid: int, direct: str) -> Way:
    """Somebody else's proxy."""
    return Way(name, _load("handshake", address=address, path="/mcp"), direct, pid)


def _load(wire: str, tool: str = _READS, **rest: object) -> Load:
    return msgspec.convert({"wire": wire, "tool": tool, "width": 1, "seconds": 1.0, **rest}, Load)
