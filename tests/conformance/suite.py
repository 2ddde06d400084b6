"""The official conformance suite: what it has, and how it is run. It writes what it found into a folder."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from tests.conformance.verdict import Check, Outcome
from tests.fixtures.node import ROOT, Node

Side = Literal["server", "client"]
EXTENSION = "extension"
CLIENTS_AT_ONCE = 2
SCENARIO_SECONDS = 60
SUITE_SECONDS = 600

_SCRIPT = "@modelcontextprotocol/conformance/dist/index.js"
_LISTED = re.compile(r"^  - (\S+) \[([^\]]*)\]$", re.MULTILINE)
_FOLDER = re.compile(r"(?:server-)?(.+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z")


class Suite:
    def __init__(self, node: Node, folder: Path) -> None:
        self._node = node
        self._folder = folder

    def folder_of(self, leg: str) -> Path:
        """Return the folder of what belongs to a leg."""
        folder = self._folder / leg
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def scenarios(self, side: Side, revision: str) -> list[str]:
        """Return the names of the scenarios of a revision, or of the protocol's extensions."""
        listed = await self._run("list", f"--{side}")
        return [name for name, applies in _LISTED.findall(listed) if revision in applies.split(",")]

    async def of_server(self, url: str, revision: str, leg: str) -> list[Outcome]:
        """Run all scenarios of a revision against a server, one after the other: they share its state."""
        names = await self.scenarios("server", revision)
        folder = self.folder_of(leg)
        if revision == EXTENSION:
            for name in names:
                await self._run("server", "--url", url, "--scenario", name, "--output-dir", str(folder))
        else:
            await self._run(
                *("server", "--url", url, "--suite", "all", "--spec-version", revision, "--output-dir", str(folder))
            )
        return _found(folder, names)

    async def of_client(self, revision: str, leg: str) -> list[Outcome]:
        """Run all scenarios of a revision against our client, each with a server and a client of its own."""
        names = await self.scenarios("client", revision)
        folder = self.folder_of(leg)
        version = () if revision == EXTENSION else ("--spec-version", revision)
        driver = f"{sys.executable} -m tests.conformance.client"
        turns = asyncio.Semaphore(CLIENTS_AT_ONCE)

        async def run(name: str) -> None:
            async with turns:
                await self._run(
                    *("client", "--command", driver, "--scenario", name, *version),
                    *("--timeout", str(SCENARIO_SECONDS * 1000), "--output-dir", str(folder)),
                )

        await asyncio.gather(*(run(name) for name in names))
        return _found(folder, names)

    async def _run(self, *arguments: str) -> str:
        """Run the suite's command and return what it printed. Its exit code says what the checks say as well."""
        process = await asyncio.create_subprocess_exec(
            *self._node.command(_SCRIPT, *arguments),
            cwd=ROOT,
            env=self._node.environment(os.environ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SUITE_SECONDS):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return said.decode()


def _found(folder: Path, names: Iterable[str]) -> list[Outcome]:
    """Read what was found, in the order of `names`. A scenario that left nothing behind has failed."""
    checks = {}
    for file in folder.rglob("checks.json"):
        match = _FOLDER.fullmatch(str(file.parent.relative_to(folder)))
        if match is not None:
            checks[match[1]] = [_check(check) for check in json.loads(file.read_bytes())]
    missing = [Check("ran", "FAILURE", "The scenario left no result.")]
    return [Outcome(name, checks.get(name, missing)) for name in names]


def _check(check: dict[str, Any]) -> Check:
    return Check(check["id"], check["status"], check.get("errorMessage") or check.get("description") or "")
