"""Two versions of the code in one run: `python -m bench.gateway_compare OTHER WAY…`.

OTHER is another checkout that has this benchmark. Both have a platform of their own, at the same time, and take turns;
the ratios are of this one to the other, medians over turns with their quartiles. `BENCH_TURNS` and `BENCH_SECONDS`
are as elsewhere.
"""

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.calls.proxies import http_upstream
from bench.calls.served import Served, records_of
from bench.calls.ways import gateway_ways
from bench.gateway import Measured, measure

_TURNS = int(os.environ.get("BENCH_TURNS", "6"))
_FIGURES: dict[str, Callable[[Measured], float]] = {
    "one at a time, p50 ms": lambda m: m.alone.p50,
    "32 at once, calls/s": lambda m: m.many.calls / m.many.seconds,
    "32 at once, gateway CPU ms": lambda m: m.cpu_ms["gateway"],
    "32 at once, Postgres CPU ms": lambda m: m.cpu_ms["postgres"],
}


@asynccontextmanager
async def _platform(checkout: Path, upstream_port: int) -> AsyncIterator[Served]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.calls.gateway_platform", str(upstream_port),
        cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said = b"" if process.stdout is None else await process.stdout.readline()
        yield msgspec.json.decode(said, type=Served)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


async def main(other: Path, names: list[str]) -> None:
    """Measure and print."""
    here = Path(__file__).resolve().parents[1]
    async with (
        http_upstream() as upstream,
        _platform(other, upstream.port) as before,
        _platform(here, upstream.port) as after,
        records_of(before) as records_before,
        records_of(after) as records_after,
    ):
        sides = [
            (served, records, {way.name: way for way in gateway_ways(served, "/mcp")})
            for served, records in ((before, records_before), (after, records_after))
        ]
        seen: dict[str, list[tuple[Measured, Measured]]] = {name: [] for name in names}
        for turn in range(_TURNS):
            for name in names:
                first, second = sides if turn % 2 else reversed(sides)
                one = await measure(first[0], first[1], first[2][name])
                two = await measure(second[0], second[1], second[2][name])
                seen[name].append((one, two) if turn % 2 else (two, one))
            print(f"turn {turn + 1} of {_TURNS}", flush=True)
    for name, pairs in seen.items():
        print(name)
        for what, read in _FIGURES.items():
            ratios = [read(now) / read(was) for was, now in pairs if read(was)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            was, now = (statistics.median([read(pair[side]) for pair in pairs]) for side in (0, 1))
            print(f"    {what:<28} {was:8.3f} -> {now:8.3f}   ratio {middle:.2f} ({low:.2f}-{high:.2f})", flush=True)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
