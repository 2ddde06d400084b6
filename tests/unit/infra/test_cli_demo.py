"""What the demo says and returns when one of its workflows does not do what it must."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec
import pytest

from infra.cli import demo, output
from infra.cli.api import Api
from infra.cli.shapes import Execution
from infra.demo.cases import Case, cases

GOOD = demo.Ran("Good", Execution("01980c7e-0000-7000-8000-000000000001", "completed"), "http://here/1/events")
BAD = demo.Ran(
    "Bad", Execution("01980c7e-0000-7000-8000-000000000002", "failed"), "http://here/2/events", "ended as failed: why"
)
NONE = demo.Ran("Unstarted", fault="could not be run: no such thing (not_found)")


class Started:
    url = "http://here"

    async def wait(self) -> None:
        """Somebody has pressed Ctrl-C."""


async def run(monkeypatch: pytest.MonkeyPatch, ran: list[demo.Ran], **how: bool) -> int:
    @asynccontextmanager
    async def started(*_: Any, **__: Any) -> AsyncIterator[Started]:
        yield Started()

    async def run_all(*_: Any) -> list[demo.Ran]:
        return ran

    class NoSite:
        host = url = ""

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            """It served nothing."""

    monkeypatch.setattr(demo, "Site", NoSite)
    monkeypatch.setattr(demo, "started", started)
    monkeypatch.setattr(demo, "_run_all", run_all)
    return await demo._demo(**{"once": True, "as_json": False, **how})


@pytest.mark.parametrize("once", [True, False])
async def test_all_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], once: bool) -> None:
    assert await run(monkeypatch, [GOOD], once=once) == 0
    said = capsys.readouterr()
    assert "Good  http://here/1/events" in said.out
    assert ("ready http://here\n" in said.out) is not once
    assert "agentic token" in said.out
    assert said.err == ""


@pytest.mark.parametrize("bad", [BAD, NONE], ids=["failed", "could not be started"])
@pytest.mark.parametrize("once", [True, False])
async def test_one_that_fails_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: demo.Ran, once: bool
) -> None:
    assert await run(monkeypatch, [GOOD, bad], once=once) == 1
    said = capsys.readouterr()
    assert f"{bad.workflow} {bad.fault}" in said.err
    assert "1 of 2 workflows did not do what they must" in said.err


async def test_json_names_the_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(monkeypatch, [GOOD, NONE], as_json=True) == 1
    said = msgspec.json.decode(capsys.readouterr().out)
    assert [each["fault"] for each in said["ran"]] == ["", NONE.fault]


async def test_a_workflow_that_cannot_be_started_does_not_keep_the_others_from_running() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(503, content=b'{"code":"engine_busy","detail":"Too much to do."}')

    case: Case = cases("http://site.test")[0]
    async with Api("http://platform.test", "token", httpx2.MockTransport(refuse)) as api:
        ran = await demo._run(api, case)
    assert ran == demo.Ran("Order total", fault="could not be run: Too much to do. (engine_busy)")


def test_a_narrow_terminal_breaks_no_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output.stdout, "width", 80)
    demo._show("http://here", [GOOD, BAD])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("Good", "Bad")) for line in lines) == 2
    assert not any(line.startswith(" ") and "http" not in line for line in lines)


@pytest.mark.parametrize(("argv0", "shown"), [("/opt/x/agentic", "agentic"), ("infra/cli/main.py", "agentic")])
def test_commands_that_are_shown_work_in_another_terminal(
    monkeypatch: pytest.MonkeyPatch, argv0: str, shown: str
) -> None:
    monkeypatch.setattr("sys.argv", [argv0])
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/agentic")
    monkeypatch.delenv("AGENTIC_DATA_DIR", raising=False)
    assert output.command("token") == f"{shown} token"
    monkeypatch.setenv("AGENTIC_DATA_DIR", "/tmp/my data")
    assert output.command("token") == f"AGENTIC_DATA_DIR='/tmp/my data' {shown} token"
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("sys.argv", [str(Path.cwd() / ".venv/bin/agentic")])
    assert output.command("token").endswith(" .venv/bin/agentic token")
