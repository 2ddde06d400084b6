"""`make bench-gateway`: what a tool call costs through the gateway, against the same server without it.

Each way in is measured with one call at a time and with 32, in turns, by a client in a process of its own. Policy, an
API key and the record of calls are on; in the end every call must be found on disk. The last line is JSON.

`BENCH_TURNS` and `BENCH_SECONDS` say how often and how long, `BENCH_ONLY` which ways, by comma-separated parts of their
names; `BENCH_MCP_PATH` is where the gateway serves MCP, `BENCH_FASTMCP` an interpreter that has fastmcp.
"""

import asyncio
import os
import statistics
import sys
from contextlib import AsyncExitStack

import msgspec
import uvloop

from bench.calls.gateway_platform import UPSTREAM, gateway_platform
from bench.calls.proxies import Listening, fastmcp_proxy, http_upstream
from bench.calls.served import Records, Served, records_of
from bench.calls.spec import Load, Seen
from bench.calls.ways import Way, direct_ways, gateway_ways, proxy_way
from bench.processes import own_cpu_seconds

_TURNS = int(os.environ.get("BENCH_TURNS", "2"))
_SECONDS = float(os.environ.get("BENCH_SECONDS", "1.5"))
_ONLY = tuple(part for part in os.environ.get("BENCH_ONLY", "").split(",") if part)
_MCP_PATH = os.environ.get("BENCH_MCP_PATH", "/mcp")
_FASTMCP = os.environ.get("BENCH_FASTMCP", "")
_ALONE, _MANY = 1, 32
_CLIENT_BUSY = 0.9  # of its time: above that, a figure is the client's


class NotServed(Exception):
    """A way is not there."""


class Measured(msgspec.Struct):
    """One way in one turn. `cpu_ms` is of each part, per call, with what is done after the answer."""

    alone: Seen
    many: Seen
    cpu_ms: dict[str, float]


async def main() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(http_upstream())
        served = await stack.enter_async_context(gateway_platform(upstream.port))
        every = [
            *direct_ways(upstream.address),
            *gateway_ways(served, _MCP_PATH),
            *await _proxy_ways(stack, upstream),
        ]
        chosen = [way for way in every if not _ONLY or way.name == way.direct or any(p in way.name for p in _ONLY)]
        figures = await _turns(served, await stack.enter_async_context(records_of(served)), chosen)
    print(msgspec.json.encode(figures).decode(), flush=True)


async def _proxy_ways(stack: AsyncExitStack, upstream: Listening) -> list[Way]:
    if not _FASTMCP:
        print("fastmcp: not measured, BENCH_FASTMCP names no interpreter that has it", flush=True)
        return []
    url = f"http://{upstream.address}/mcp"
    found = []
    for name, target, kept, direct in (
        ("fastmcp_stdio", (sys.executable, UPSTREAM), True, "direct_stdio"),
        ("fastmcp_http_fresh", (url,), False, "direct_http"),
        ("fastmcp_http_kept", (url,), True, "direct_http"),
    ):
        proxy = await stack.enter_async_context(fastmcp_proxy(_FASTMCP, *target, kept=kept))
        found.append(proxy_way(name, proxy.address, proxy.pid, direct))
    return found


async def _turns(served: Served, records: Records, ways: list[Way]) -> dict[str, object]:
    seen: dict[str, list[Measured]] = {}
    missing: dict[str, str] = {}
    for turn in range(_TURNS):
        print(f"turn {turn + 1} of {_TURNS}", flush=True)
        for way in ways:
            if way.name in missing:
                continue
            try:
                measured = await measure(served, records, way)
            except NotServed as error:
                missing[way.name] = str(error)
                print(f"{way.name:<26} {error}", flush=True)
                continue
            seen.setdefault(way.name, []).append(measured)
            _say(way.name, measured)
    figures: dict[str, object] = dict.fromkeys(missing, "not served")
    for way in ways:
        if way.name in seen:
            figures[way.name] = _figures(seen[way.name], seen.get(way.direct, []))
    await records.check()
    print(f"{records.answered:,} calls through the gateway, and all of them on disk", flush=True)
    return {**figures, "recorded_calls": records.answered}


async def measure(served: Served, records: Records, way: Way) -> Measured:
    """Call with one and with many at once; every call is found again, and the cost is of all that follows from them."""
    alone = await run_client(msgspec.structs.replace(way.load, width=_ALONE, in_list=1, seconds=_SECONDS))
    await _account(records, way, alone)
    before = _cpu(served, way)
    many = await run_client(msgspec.structs.replace(way.load, width=_MANY, seconds=_SECONDS))
    await _account(records, way, many)
    after = _cpu(served, way)
    return Measured(alone, many, {name: (after[name] - before[name]) / many.total * 1000 for name in after})


async def _account(records: Records, way: Way, seen: Seen) -> None:
    if seen.errors:
        raise RuntimeError(f"{way.name}: {seen.errors}")
    if seen.cpu_s > _CLIENT_BUSY * seen.seconds:
        print(f"{way.name}: the client was busy all the time: it, too, was measured", flush=True)
    if way.ours:
        await records.settled(seen.total)


def _cpu(served: Served, way: Way) -> dict[str, float]:
    if way.ours:
        return served.cpu()
    return {} if way.pid is None else {"gateway": own_cpu_seconds(way.pid)}


async def run_client(load: Load) -> Seen:
    """Let a process of its own do a load. Raises `NotServed`."""
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.calls.client", msgspec.json.encode(load).decode(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await client.communicate()
    if client.returncode:
        text = err.decode()
        if text.startswith("not served"):
            raise NotServed(text.partition("\r")[0].strip())
        raise RuntimeError(text)
    return msgspec.json.decode(out, type=Seen)


def _figures(turns: list[Measured], direct: list[Measured]) -> dict[str, object]:
    """Return the medians over the turns. What is added is added to the direct way in the same turn."""

    def middle(values: list[float], digits: int = 3) -> float:
        return round(statistics.median(values), digits)

    figures: dict[str, object] = {
        "c1_p50_ms": middle([m.alone.p50 for m in turns]),
        "c1_p95_ms": middle([m.alone.p95 for m in turns]),
        "c1_p99_ms": middle([m.alone.p99 for m in turns]),
        "c1_added_p50_ms": middle([m.alone.p50 - d.alone.p50 for m, d in zip(turns, direct, strict=True)]),
        "c32_p50_ms": middle([m.many.p50 for m in turns]),
        "c32_p95_ms": middle([m.many.p95 for m in turns]),
        "c32_p99_ms": middle([m.many.p99 for m in turns]),
        "c32_calls_per_s": middle([m.many.calls / m.many.seconds for m in turns], 0),
        "errors": 0,
    }
    for part in turns[0].cpu_ms:
        figures[f"{part}_cpu_ms"] = middle([m.cpu_ms[part] for m in turns])
    if own := figures.get("gateway_cpu_ms"):
        figures["calls_per_s_and_core"] = round(1000 / float(str(own)))
    return figures


def _say(name: str, measured: Measured) -> None:
    alone, many, parts = measured.alone, measured.many, measured.cpu_ms
    cost = ", ".join(f"{part} {ms:.3f}" for part, ms in parts.items() if round(ms, 3))
    print(
        f"{name:<26} p50 {alone.p50:7.3f} p99 {alone.p99:7.3f} ms; 32 at once {many.calls / many.seconds:7,.0f}/s"
        f" p50 {many.p50:7.2f} p99 {many.p99:7.2f} ms; CPU ms a call: {cost or '-'}",
        flush=True,
    )


if __name__ == "__main__":
    uvloop.run(main())
