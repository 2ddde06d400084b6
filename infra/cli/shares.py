"""Which workflow process decides which partitions, as each of them says on its own socket."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2

from infra.cli.finding import Finding
from infra.cli.limits import PROBE_TIMEOUT
from infra.local.paths import DataDir
from shared.bus.tasks import PARTITIONS

_OWNED = re.compile(r'^agentic_engine_partition\{partition="(\d+)"\} 1\.0$', re.MULTILINE)


def partitions(place: DataDir) -> Iterator[Finding]:
    """Yield who owns what, and whether a partition has no owner."""
    owned = dict(_processes(place))
    if not owned:
        return
    told = "; ".join(f"{name}: {_ranges(numbers)}" for name, numbers in owned.items())
    missing = set(range(PARTITIONS)).difference(*owned.values())
    if missing:
        remedy = "Look again in a few seconds: a process that died is taken over, and a new one gets its share."
        yield Finding("partitions", "note", f"{told}; nobody: {_ranges(sorted(missing))}", remedy)
    else:
        yield Finding("partitions", "ok", told)


def _processes(place: DataDir) -> Iterator[tuple[str, list[int]]]:
    record = place.run / "service-sockets"
    folder = Path(record.read_text()) if record.exists() else place.run
    for socket in sorted(folder.glob("workflow*.sock")):
        transport = httpx2.HTTPTransport(uds=str(socket))
        with httpx2.Client(transport=transport, base_url="http://localhost", timeout=PROBE_TIMEOUT) as client:
            try:
                text = client.get("/metrics").text
            except httpx2.TransportError:
                continue  # a socket that an earlier run left, or a process that its own check finds away
        yield socket.stem, sorted(int(number) for number in _OWNED.findall(text))


def _ranges(numbers: list[int]) -> str:
    """Return numbers as people write them: `0-15, 20`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in runs) or "none"
