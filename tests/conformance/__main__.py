"""Run the official conformance suite: `python -m tests.conformance [--leg PATTERN] [--results FOLDER]`."""

import argparse
import asyncio
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console

from tests.conformance.legs import LEGS
from tests.conformance.report import show
from tests.conformance.suite import Suite
from tests.conformance.verdict import Verdict, judge, read_known
from tests.fixtures.node import Unavailable, node

KNOWN = Path(__file__).with_name("known.yaml")


async def main(pattern: str, folder: Path) -> int:
    console = Console(width=160, soft_wrap=True)
    try:
        suite = Suite(node(), folder)
    except Unavailable as error:
        console.print(f"The conformance suite needs Node and packages from npm. {error}")
        return 2
    known = read_known(KNOWN)
    verdicts: list[Verdict] = []
    for leg in LEGS:
        if fnmatchcase(leg.name, pattern):
            verdicts.append(judge(leg.name, await leg.run(suite), known))
            show(console, verdicts[-1])
    return 0 if verdicts and all(verdict.good for verdict in verdicts) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leg", default="*", help="only legs of this name, such as 'gateway*'")
    parser.add_argument("--results", type=Path, help="keep what the suite writes in this folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        sys.exit(asyncio.run(main(chosen.leg, chosen.results or Path(scratch))))
