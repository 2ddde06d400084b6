"""How values become JSON, and where rows are cut."""

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.mcp_gateway import limits
from services.mcp_gateway.servers.database.postgres_connections import _Meter
from services.mcp_gateway.servers.database.postgres_values import _json, argument
from services.mcp_gateway.servers.database.rows import Rows, json_value
from services.mcp_gateway.servers.tools import ToolRefused

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**53 - 1, 2**53 - 1),
        (-(2**53), str(-(2**53))),
        (0.5, 0.5),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (b"\x00\xff", "\\x00ff"),
        ([1, [None, float("nan")], (2,)], [1, [None, "NaN"], [2]]),
        ({"a": [2**53, 1e999]}, {"a": [str(2**53), "Infinity"]}),
        (Decimal("1.10"), "1.10"),
    ],
)
def test_values_as_json(value: Any, expected: Any) -> None:
    assert json_value(value) == expected
    assert json.loads(msgspec.json.encode(json_value(value))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("1e400", "1e400"),
        ("[" * 5_000 + "]" * 5_000, "[" * 5_000 + "]" * 5_000),
        ('"x"', "x"),
    ],
)
def test_json_columns(text: str, expected: Any) -> None:
    assert _json(text) == expected


def test_rows_up_to_a_number() -> None:
    rows = Rows(2)
    assert [rows.add([place]) for place in range(3)] == [True, True, False]
    assert rows.result([]) == {"columns": [], "rows": [[0], [1]], "row_count": 2, "truncated": True}


def test_rows_up_to_a_size() -> None:
    rows = Rows(1_000)
    half = "x" * (limits.DATABASE_RESULT_MAX_BYTES // 2)
    assert rows.add([half])
    assert rows.room == 1
    assert not rows.add([half])
    assert (rows.count, rows.truncated) == (1, True)


def test_a_row_that_alone_is_too_large() -> None:
    with pytest.raises(ToolRefused) as refused:
        Rows(10).add(["\n" * limits.DATABASE_RESULT_MAX_BYTES])
    assert refused.value.code == "result_too_large"


@pytest.mark.parametrize(
    ("value", "type_name", "expected"),
    [
        (None, "int4", None),
        (1, "int8", 1),
        (1, "float8", 1.0),
        ("NaN", "float8", float("nan")),
        (1.5, "numeric", "1.5"),
        ("1.10", "numeric", "1.10"),
        ("2024-02-29", "date", "2024-02-29"),
        (True, "bool", True),
        ({"a": 1}, "jsonb", '{"a":1}'),
        ("a", "json", '"a"'),
        ([1, 2], "int4[]", [1, 2]),
        ([["a"], ["b"]], "text[]", [["a"], ["b"]]),
        ([1, None], "numeric[]", ["1", None]),
    ],
)
def test_parameters(value: Any, type_name: str, expected: Any) -> None:
    assert repr(argument(value, type_name)) == repr(expected)


@pytest.mark.parametrize(
    ("value", "type_name"),
    [(True, "int4"), ("1", "int4"), (1.5, "int4"), (1, "bool"), ([1], "text"), ({}, "text"), (1, "int4[]")],
)
def test_parameters_of_the_wrong_type(value: Any, type_name: str) -> None:
    with pytest.raises(ToolRefused) as refused:
        argument(value, type_name)
    assert refused.value.code == "parameters_invalid"


async def test_a_connection_is_cut_when_it_receives_too_much() -> None:
    class Peer(asyncio.Protocol):
        received = 0
        aborted = 0

        def data_received(self, data: bytes) -> None:
            self.received += len(data)

        def abort(self) -> None:
            self.aborted += 1

    peer: Any = Peer()
    meter = _Meter(peer, peer)
    for _ in range(6):
        meter.data_received(b"x" * limits.MIB)
    assert peer.received == limits.DATABASE_RECEIVED_MAX_BYTES
    assert (meter.exceeded, peer.aborted) == (True, 1)


def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.mcp_gateway.servers.database", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, input="", capture_output=True, text=True, cwd=ROOT, env=environment, timeout=20, check=False
    )


def test_the_command_line() -> None:
    shown = start("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "DATABASE_URL" in shown.stdout
    missing = start(DATABASE_URL="")
    assert missing.returncode == 2
    assert "--url" in missing.stderr
    wrong = start(DATABASE_URL="mysql://me:hunter2@host/db")
    assert wrong.returncode == 2
    assert "hunter2" not in wrong.stderr
    assert start("--url", "sqlite:///nowhere.sqlite3").returncode == 0
