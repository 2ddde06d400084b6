"""TCP ports on the loopback interface."""

import random
import socket
from pathlib import Path

from infra.local.errors import PortTaken
from infra.local.limits import FIRST_HTTP_PORT, FIRST_INNER_PORT, HTTP_PORTS_TRIED

LOOPBACK = "127.0.0.1"
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Say whether `port` can be listened on now; SO_REUSEADDR as servers set it, so TIME_WAIT does not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def inner_port(record: Path) -> int:
    """Return the port that `record` remembers if it is free, else a free one that is remembered there from now on.

    It lies below the range from which the kernel serves outgoing connections: while a server restarts, a client of
    its own that tries to reconnect could otherwise be given the very port that it dials, and keep the server out.
    """
    if record.exists() and is_free(known := int(record.read_text())):
        return known
    candidates = range(FIRST_INNER_PORT, int(_EPHEMERAL_RANGE.read_text().split()[0]))
    for port in random.SystemRandom().sample(candidates, len(candidates)):
        if is_free(port):
            record.write_text(str(port))
            return port
    raise PortTaken(f"No free port between {candidates.start} and {candidates.stop - 1}.")


def http_port(asked: int | None) -> int:
    """Return the edge's port: the one asked for or an error, else 8000 or the next free one."""
    if asked is not None:
        if not is_free(asked):
            raise PortTaken(f"Port {asked} is in use. Set AGENTIC_HTTP_PORT to another one, or unset it.")
        return asked
    for port in range(FIRST_HTTP_PORT, FIRST_HTTP_PORT + HTTP_PORTS_TRIED):
        if is_free(port):
            return port
    raise PortTaken(f"No free port between {FIRST_HTTP_PORT} and {FIRST_HTTP_PORT + HTTP_PORTS_TRIED - 1}.")
