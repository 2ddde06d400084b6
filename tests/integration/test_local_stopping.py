"""How the local platform ends: it waits for what drains, and does not for whom asks twice."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local.errors import StartFailed
from infra.local.kept import Kept, Part, Progress
from infra.local.limits import DRAIN_TIMEOUT
from shared.limits import DRAIN_S, HTTP_DRAIN_S

ROOT = Path(__file__).parents[2]
STANDINS = ROOT / "tests" / "fixtures" / "standins"
PATIENCE = 20.0
RECORDS_DRAIN_S = 8  # of the gateway's records, the longest of what a service ends after requests and bus

# A service that hears SIGTERM and goes on for ever.
STUBBORN = """
import os, signal, standin

def main():
    signal.signal(signal.SIGTERM, lambda *_: print("asked to end", flush=True))
    standin.Server(os.environ["AGENTIC_HTTP_SOCKET"], standin.Answer).serve_forever(poll_interval=0.01)
"""

DRIVER = """
import asyncio, json, os, sys
from pathlib import Path
from infra.local.options import Options, ServiceProgram
from infra.local.platform import Platform
from infra.local.signals import until_signal

async def main():
    programs = (ServiceProgram("workflow", "stubborn", ("stubborn",)), ServiceProgram("tenant", "standin"))
    options = Options(data_dir=Path(sys.argv[1]), programs=programs, environment=dict(os.environ))
    async with until_signal(), Platform(options) as platform:
        print(json.dumps(platform.pids()), flush=True)
        await platform.wait()
    print("ended", flush=True)

sys.path[:0] = sys.argv[2:]
asyncio.run(main())
"""


async def supervisor(data_dir: Path, modules: Path) -> tuple[asyncio.subprocess.Process, dict[str, int]]:
    (modules / "stubborn.py").write_text(STUBBORN)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DRIVER,
        *(str(data_dir), str(modules), str(STANDINS)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return process, json.loads(await process.stdout.readline())


def alive(pids: dict[str, int]) -> set[str]:
    found = set()
    for name, pid in pids.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(name)
    return found


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_whoever_asks_twice_does_not_wait_and_nothing_stays(
    data_dir: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process, pids = await supervisor(data_dir, tmp_path)
    process.send_signal(number)
    log = data_dir / "logs" / "workflow.log"
    await until(lambda: "asked to end" in log.read_text())
    await until(lambda: "tenant" not in alive(pids))
    assert process.returncode is None
    assert {"workflow", "nats", "postgres"} <= alive(pids)
    began = time.monotonic()
    for _ in range(3):  # somebody in a hurry
        process.send_signal(number)
        await asyncio.sleep(0.01)
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert time.monotonic() - began < 3
    assert (said, process.returncode) == (b"ended\n", 0)
    assert not alive(pids)
    again, _ = await supervisor(data_dir, tmp_path)
    again.send_signal(signal.SIGTERM)
    again.send_signal(signal.SIGINT)
    await asyncio.wait_for(again.communicate(), PATIENCE)


async def test_a_part_that_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    said: list[Progress] = []

    async def spawn() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")

    async def ready() -> None:
        """It needs no time."""

    part = Part("deaf", spawn, ready, tmp_path / "log", tmp_path / "pid", signal.SIGCONT, drain_seconds=0.2)
    kept = Kept(part, said.append)
    await kept.start()
    pid = kept.pid
    assert pid is not None
    await kept.stop()
    assert not psutil.pid_exists(pid)
    assert not part.pid_file.exists()
    assert said[-1] == Progress("deaf", "stopped")


async def test_a_start_that_fails_shows_what_this_start_said(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("what an earlier one said\n")

    async def spawn() -> asyncio.subprocess.Process:
        with log.open("ab") as out:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-c", "import sys; print('no such luck'); sys.exit(3)", stdout=out
            )

    async def ready() -> None:
        await asyncio.Event().wait()

    kept = Kept(Part("unlucky", spawn, ready, log, tmp_path / "pid"), lambda _: None)
    with pytest.raises(StartFailed, match=r"unlucky ended with 3 while starting. The end of .*/log:\nno such luck$"):
        await kept.start()


def test_a_service_has_the_time_that_it_may_need() -> None:
    assert HTTP_DRAIN_S + DRAIN_S + RECORDS_DRAIN_S < DRAIN_TIMEOUT
