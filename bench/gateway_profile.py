"""Where the gateway's time goes per call: `python -m bench.gateway_profile WAY PY_SPY`, a way of `bench.gateway`.

py-spy samples the process while 32 calls are under way. What is printed is processor time per call in µs, spread over
functions by their share of the samples: `self` without, `all` with what they call.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import uvloop

from bench.calls.gateway_platform import gateway_platform
from bench.calls.proxies import http_upstream
from bench.calls.served import records_of
from bench.calls.ways import gateway_ways
from bench.gateway import run_client

_SECONDS = 12.0
_SAMPLED_S = 10
_RATE = 400
_SHOWN = 90


async def main(name: str, py_spy: str) -> None:
    """Load, sample and print."""
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks"
        async with (
            http_upstream() as upstream,
            gateway_platform(upstream.port) as served,
            records_of(served) as records,
        ):
            way = next(way for way in gateway_ways(served, "/mcp") if way.name == name)
            await run_client(msgspec.structs.replace(way.load, width=32, seconds=2.0))
            before = served.cpu()["gateway"]
            sampling = asyncio.create_task(_sample(py_spy, served.pids["mcp_gateway"], stacks))
            seen = await run_client(msgspec.structs.replace(way.load, width=32, seconds=_SECONDS))
            await records.settled(seen.total)
            cost = (served.cpu()["gateway"] - before) / seen.total * 1e6
            await sampling
        _print(stacks.read_text(), cost, seen.calls / seen.seconds)


async def _sample(py_spy: str, pid: int, into: Path) -> None:
    options = ("--rate", str(_RATE), "--duration", str(_SAMPLED_S), "--format", "raw", "--nonblocking")
    process = await asyncio.create_subprocess_exec(
        py_spy, "record", "--pid", str(pid), *options, "--output", str(into), stdout=asyncio.subprocess.DEVNULL
    )
    await process.wait()


def _print(stacks: str, cost: float, rate: float) -> None:
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        total += int(count)
        own[frames[-1]] += int(count)
        whole.update(dict.fromkeys(frames, int(count)))
    print(f"{cost:.0f} µs a call, {rate:.0f} calls/s, {total} samples")
    print(f"{'all':>7} {'self':>7}  function")
    for frame, count in whole.most_common(_SHOWN):
        print(f"{count / total * cost:7.1f} {own[frame] / total * cost:7.1f}  {frame}")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2]))
