"""What a client process is told to do and what it says in the end: JSON on its command line and on stdout."""

from typing import Literal

import msgspec

Wire = Literal["stdio", "rest", "handshake", "modern", "nats"]
"""`stdio`: lines to a server of its own. `rest`: `POST /api/v1/mcp/execute`. `handshake`, `modern`: MCP over HTTP in
one era or the other. `nats`: tasks with a reply subject.
"""


class Load(msgspec.Struct, frozen=True):
    """Calls of one tool, `width` at a time, for `seconds` after `warm_up` seconds that do not count.

    `address` is a `host:port` or the path of a unix socket; for stdio it is nothing. `credential` is a bearer token or
    an nkey seed. `in_list` tasks travel in one message.
    """

    wire: Wire
    tool: str
    width: int
    seconds: float
    warm_up: float = 0.3
    address: str = ""
    path: str = ""
    server: str = ""
    credential: str = ""
    tenant_id: str = ""
    in_list: int = 1


class Seen(msgspec.Struct):
    """What came of it. `total` counts all calls that were answered well, the warm-up among them; times are in ms.

    `cpu_s` is the client's own processor time while it counted: near `seconds`, it was the client that was measured.
    """

    calls: int
    total: int
    seconds: float
    p50: float
    p95: float
    p99: float
    cpu_s: float
    errors: dict[str, int] = {}
