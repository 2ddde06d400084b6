"""The README's tour, pasted as it stands."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0


def tour() -> str:
    """Return the shell blocks of the section but the first, which starts the platform in another terminal."""
    section = (ROOT / "README.md").read_text().split("## Five minutes")[1].split("\n## ")[0]
    first, *rest = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert first == "make up\n"
    return "\n".join(rest)


async def test_the_tour_works_when_pasted(command: dict[str, str], tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{command['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", tour()),
        cwd=tmp_path,
        env={**command, "PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    said = out.decode()
    assert process.returncode == 0, said + err.decode()
    assert "small: 42" in said, said
    assert "15" in said
    assert said.count("workflow.execution-started") >= 1
    assert said.count("workflow.execution-completed") >= 1
    answered = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert any(answer.get("status") == "completed" for answer in answered), said
