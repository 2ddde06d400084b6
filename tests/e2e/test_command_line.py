"""The command `agentic` as people and scripts use it: processes, their output and their exit codes."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from infra.demo import cases
from tests.conftest import reachable_folder, remove
from tests.e2e.conftest import Whole, free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEMO = Path(cases.__file__).parent / "workflows"
PATIENCE = 60.0
AT_ONCE = 3.0
NOBODYS = "01980c7e-0000-7000-8000-000000000000"


class Said(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str


async def agentic(environment: dict[str, str], *arguments: str, said: bytes | None = None) -> Said:
    """Run a command to its end; `said` goes to its standard input."""
    process = await start(environment, *arguments, stdin=None if said is None else asyncio.subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(said), PATIENCE)
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


async def start(environment: dict[str, str], *arguments: str, stdin: int | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.cli.main",
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture
def elsewhere() -> Iterator[dict[str, str]]:
    """An environment with a data directory that nothing runs on, and a free port."""
    folder = reachable_folder()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTIC_", "ONCE"))}
    yield {**inherited, "AGENTIC_DATA_DIR": str(folder / "data"), "AGENTIC_HTTP_PORT": str(free_port())}
    remove(folder)


async def test_token_prints_a_token_and_nothing_else(command: dict[str, str]) -> None:
    said = await agentic(command, "token", "--tenant", "demo")
    assert (said.code, said.err) == (0, "")
    assert said.out.count("\n") == 1
    assert said.out.count(".") == 2


async def test_token_of_an_unknown_tenant_is_an_error(command: dict[str, str]) -> None:
    said = await agentic(command, "token", "--tenant", "nobody-knows")
    assert (said.code, said.out) == (1, "")
    assert "not_found" in said.err


async def test_a_definition_is_validated(command: dict[str, str], tmp_path: Path) -> None:
    good = await agentic(command, "workflows", "validate", str(DEMO / "order-total.yaml"))
    assert good.code == 0, good.err
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"name": "Wrong", "steps": [{"type": "transform", "name": "a", "inptu": {}}]}))
    said = await agentic(command, "workflows", "validate", str(wrong))
    assert said.code == 1
    assert "steps[0]" in said.err


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("name: Keys\non:\nsteps: [{type: transform, name: a, input: 1}]\n", 1, "definition_invalid"),
        (
            "name: Keys\n1: x\ntrue: y\nnull: z\nsteps: [{type: transform, name: a, input: 1}]\n",
            1,
            "definition_invalid",
        ),
        ("? [a]\n: 1\n", 2, "a key is a text"),
        ("? {on: 1}\n: 1\n", 2, "a key is a text"),
    ],
)
async def test_keys_of_yaml_that_look_like_no_text_are_no_traceback(
    command: dict[str, str], tmp_path: Path, text: str, code: int, said: str
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    for verb in ("validate", "apply"):
        refused = await agentic(command, "workflows", verb, str(file))
        assert (refused.code, refused.out) == (code, "")
        assert said in refused.err
        assert "Traceback" not in refused.err


async def test_data_may_have_such_keys(command: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("name: Keys of data\nsteps: [{type: transform, name: a, input: {on: 1, 2: 3, true: 4}}]\n")
    ran = await agentic(command, "workflows", "run", str(file), "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["output_data"] == {"on": 1, "2": 3, "true": 4}


async def test_a_file_is_applied_run_and_read_back(command: dict[str, str]) -> None:
    file = str(DEMO / "order-total.yaml")
    given = ("--input", '{"price": 12.25, "quantity": 6, "postage": 4.9}')
    for _ in range(2):  # applying what is there already is no error
        applied = await agentic(command, "workflows", "apply", file, "--json")
        assert applied.code == 0, applied.err
        assert json.loads(applied.out)["status"] == "active"
    ran = await agentic(command, "workflows", "run", "demo-order-total", *given, "--json")
    assert ran.code == 0, ran.err
    execution = json.loads(ran.out)
    assert execution["output_data"] == {"goods": 73.5, "total": 78.4, "branch": "if_false"}
    shown = await agentic(command, "workflows", "run", file, *given)
    assert shown.code == 0, shown.err
    assert "completed" in shown.out
    assert "goods" in shown.out

    watched = await agentic(command, "executions", "watch", execution["id"])
    assert watched.code == 0, watched.err
    assert "execution-completed" in watched.out
    told = await agentic(command, "executions", "history", execution["id"], "--json")
    events = [json.loads(line) for line in told.out.splitlines()]
    assert events[0]["type"] == "workflow.execution-started.v1"
    assert len(events) == len(watched.out.splitlines()) - 1


async def test_a_long_history_is_printed_to_its_end(command: dict[str, str], tmp_path: Path) -> None:
    step = {"type": "mcp_tool", "server_id": "calculator", "tool_name": "add", "input": {"a": 1, "b": 1}}
    file = tmp_path / "long.json"
    file.write_text(json.dumps({"name": "Long", "steps": [{**step, "name": f"s{number}"} for number in range(120)]}))
    ran = await agentic(command, "workflows", "run", str(file), "--json")
    assert ran.code == 0, ran.err
    told = await agentic(command, "executions", "history", json.loads(ran.out)["id"], "--json")
    versions = [json.loads(line)["version"] for line in told.out.splitlines()]
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) > 200
    assert json.loads(told.out.splitlines()[-1])["type"] == "workflow.execution-completed.v1"


async def test_a_slug_that_is_unknown_is_an_error_that_names_it(command: dict[str, str]) -> None:
    said = await agentic(command, "workflows", "run", "no-such-slug")
    assert (said.code, said.out) == (1, "")
    assert "no-such-slug" in said.err


async def test_an_execution_that_fails_is_a_failure_of_the_command(command: dict[str, str], tmp_path: Path) -> None:
    step = {
        "type": "mcp_tool",
        "name": "ratio",
        "server_id": "calculator",
        "tool_name": "divide",
        "input": {"a": 1, "b": 0},
    }
    file = tmp_path / "failing.json"
    file.write_text(json.dumps({"name": "Failing command", "steps": [step]}))
    said = await agentic(command, "workflows", "run", str(file))
    assert said.code == 1
    assert "tool_error" in said.out


async def test_input_that_is_not_valid_is_refused_with_its_path(command: dict[str, str]) -> None:
    said = await agentic(
        command, "workflows", "run", str(DEMO / "order-total.yaml"), "--input", '{"price": "x"}', "--json"
    )
    assert said.code == 1
    faults = json.loads(said.err)["error"]["errors"]
    assert any("price" in fault["path"] for fault in faults)


async def test_events_are_heard_while_they_happen(command: dict[str, str]) -> None:
    tail = await start(command, "events", "tail", "workflow.execution.*", "--count", "2", "--json")
    assert tail.stderr is not None
    heard = asyncio.create_task(tail.communicate())
    given = ("--input", '{"price": 1, "quantity": 1, "postage": 1}')
    async with asyncio.timeout(PATIENCE):
        while not heard.done():  # until it has subscribed, what happens is not heard
            ran = await agentic(command, "workflows", "run", str(DEMO / "order-total.yaml"), *given)
            assert ran.code == 0, ran.err
    out, _ = await heard
    assert tail.returncode == 0
    assert {json.loads(line)["headers"]["ce-type"].split(".")[0] for line in out.splitlines()} == {"workflow"}


async def test_doctor_sees_the_running_platform(command: dict[str, str], whole: Whole) -> None:
    said = await agentic(command, "doctor", "--json")
    assert said.code == 0, said.out
    findings = {finding["name"]: finding for finding in json.loads(said.out)["findings"]}
    assert whole.platform.url in findings["platform"]["detail"]
    assert findings["workflow"]["state"] == "ok"


async def test_url_prints_the_url_and_nothing_else(command: dict[str, str], whole: Whole) -> None:
    assert await agentic(command, "url") == Said(0, f"{whole.platform.url}\n", "")
    assert json.loads((await agentic(command, "url", "--json")).out) == {"url": whole.platform.url}
    elsewhere = await agentic({**command, "AGENTIC_URL": "https://platform.test/"}, "url")
    assert elsewhere == Said(0, "https://platform.test\n", "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("executions", "history", "not-an-id"), "usage"),
        (("workflows", "run", "x", "--input", "{"), "bad_input"),
        (("workflows", "apply", "/there/is/no.yaml"), "bad_file"),
        (("events", "tail", "not a pattern"), "bad_input"),
        (("nothing",), "usage"),
    ],
)
async def test_what_is_called_wrongly_is_one_line_and_the_code_2(
    command: dict[str, str], arguments: tuple[str, ...], code: str
) -> None:
    plain = await agentic(command, *arguments)
    assert (plain.code, plain.out) == (2, "")
    assert "Traceback" not in plain.err
    said = await agentic(command, *arguments, "--json")
    assert (said.code, said.out) == (2, "")
    assert json.loads(said.err)["error"]["code"] == code


async def test_output_that_nobody_reads_to_its_end_is_no_traceback(command: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m infra.cli.main doctor | head -c 1", env=command, stdout=-1, stderr=-1
    )
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert err == b""


async def test_a_tail_that_loses_its_server_is_a_failure(elsewhere: dict[str, str]) -> None:
    up = await start(elsewhere, "up")
    assert up.stdout is not None
    await asyncio.wait_for(up.stdout.readline(), PATIENCE)
    tail = await start(elsewhere, "events", "tail")
    assert tail.stderr is not None
    assert b"listening" in await asyncio.wait_for(tail.stderr.readline(), PATIENCE)
    up.kill()
    await up.communicate()
    _, err = await asyncio.wait_for(tail.communicate(), PATIENCE)
    assert tail.returncode == 1
    assert b"ended the connection" in err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AGENTIC_POSTGRES_DSN", "postgresql://me:secret@127.0.0.1:1/x"),
        ("AGENTIC_NATS_URL", "nats://me:secret@127.0.0.1:1"),
        ("AGENTIC_LOGLEVEL", "debug"),
        ("AGENTIC_HTTP_PORT", "http"),
    ],
)
async def test_up_refuses_at_once_what_cannot_work(elsewhere: dict[str, str], variable: str, value: str) -> None:
    said = await agentic({**elsewhere, variable: value}, "up")
    assert (said.code, said.out) == (2, "")
    assert variable in said.err
    assert said.err.count("\n") == 1
    assert "secret" not in said.err


@pytest.mark.parametrize("arguments", [("up",), ("demo", "--once")])
async def test_a_port_that_was_asked_for_and_is_taken_is_named(
    elsewhere: dict[str, str], whole: Whole, arguments: tuple[str, ...]
) -> None:
    taken = whole.platform.url.rpartition(":")[2]
    said = await agentic({**elsewhere, "AGENTIC_HTTP_PORT": taken}, *arguments)
    assert (said.code, said.out) == (2, "")
    assert f"Port {taken} is in use. Set AGENTIC_HTTP_PORT" in said.err


async def test_doctor_says_what_is_wrong(elsewhere: dict[str, str], whole: Whole) -> None:
    taken = whole.platform.url.rpartition(":")[2]
    said = await agentic({**elsewhere, "AGENTIC_HTTP_PORT": taken}, "doctor")
    assert said.code == 1
    assert f"Port {taken} is in use" in said.out


@pytest.mark.parametrize(
    "arguments", [("url",), ("token",), ("workflows", "run", "x"), ("executions", "watch", NOBODYS), ("events", "tail")]
)
async def test_without_a_platform_the_error_says_what_to_do(
    elsewhere: dict[str, str], arguments: tuple[str, ...]
) -> None:
    said = await agentic(elsewhere, *arguments)
    assert (said.code, said.out) == (1, "")
    assert "agentic up" in said.err


async def test_up_serves_until_it_is_asked_to_end(elsewhere: dict[str, str]) -> None:
    process = await start(elsewhere, "up")
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    assert line.decode() == f"ready http://localhost:{elsewhere['AGENTIC_HTTP_PORT']}\n"
    assert (await agentic(elsewhere, "token")).code == 0
    left = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    assert time.monotonic() - began < AT_ONCE
    assert not [one for one in left if one.is_running()]
    assert (await agentic(elsewhere, "token")).code == 1


async def test_demo_runs_its_workflows_and_ends(elsewhere: dict[str, str]) -> None:
    for _ in range(2):  # the second time on what the first left
        said = await agentic({**elsewhere, "ONCE": "1"}, "demo")
        assert said.code == 0, said.out + said.err
        assert said.out.count("completed") == 3
        assert "/docs" in said.out
        assert len(re.findall(r"  \S.*http://localhost:\d+/api/v1/\S+/events$", said.out, re.MULTILINE)) == 3
        assert "agentic up" in said.out
        assert "ready" not in said.out


async def test_demo_as_json(elsewhere: dict[str, str]) -> None:
    said = await agentic({**elsewhere, "ONCE": "1"}, "demo", "--json")
    assert said.code == 0, said.out + said.err
    ran: list[dict[str, Any]] = json.loads(said.out)["ran"]
    assert [each["fault"] for each in ran] == ["", "", ""]


async def test_a_read_model_is_built_anew(command: dict[str, str]) -> None:
    said = await agentic(command, "projections", "rebuild", "workflow_counters", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["name"] == "workflow_counters"
    unknown = await agentic(command, "projections", "rebuild", "nothing")
    assert (unknown.code, unknown.out) == (1, "")
    assert "workflow_counters" in unknown.err
    nowhere = await agentic(command, "projections", "rebuild", "x", "--service", "agent")
    assert nowhere.code == 1
    assert "'agent' has no read models" in nowhere.err
