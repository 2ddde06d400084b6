"""Definitions over HTTP and the command line: warnings, YAML, what changed between revisions, files out and in."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
import pytest
import yaml

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORKFLOWS = "/workflows/workflows"
AS_YAML = {"Content-Type": "application/yaml"}
PATIENCE = 60.0


def give(name: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "transform", "name": name, "input": value, **fields}


def flow(*steps: Any, **fields: Any) -> dict[str, Any]:
    return {"name": f"Definitions {uuid4().hex[:12]}", "steps": list(steps), **fields}


SURPRISING = (give("a", {"x": 1}, when="$.input.go"), give("b", "{a.x}"))


async def created(demo: httpx2.AsyncClient, definition: dict[str, Any]) -> dict[str, Any]:
    answer = await demo.post(WORKFLOWS, json=definition)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def agentic(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli.main", *arguments, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_every_way_in_gives_the_warnings_and_no_way_out_does(demo: httpx2.AsyncClient) -> None:
    definition = flow(*SURPRISING)
    checked = await demo.post(f"{WORKFLOWS}/validate", json=definition)
    assert (checked.status_code, checked.json()["valid"]) == (200, True)
    warnings = checked.json()["warnings"]
    assert [(one["path"], one["code"], one["position"]) for one in warnings] == [
        ("steps[1].input", "may_be_missing", 0)
    ]

    headers = {"Idempotency-Key": uuid4().hex}
    made = await demo.post(WORKFLOWS, json=definition, headers=headers)
    assert made.json()["warnings"] == warnings
    repeated = await demo.post(WORKFLOWS, json=definition, headers=headers)
    assert repeated.json() == made.json()
    one = f"{WORKFLOWS}/{made.json()['id']}"
    assert (await demo.post(f"{one}/activate")).json()["warnings"] == warnings
    assert (await demo.post(f"{one}/activate")).json()["warnings"] == warnings
    assert (await demo.patch(one, json={"description": "new"})).json()["warnings"] == warnings
    mended = await demo.patch(one, json={"steps": [SURPRISING[0], give("b", "{a.x | default(0)}")]})
    assert mended.json()["warnings"] == []
    assert "warnings" not in (await demo.get(one)).json()


async def test_a_body_may_be_yaml(demo: httpx2.AsyncClient) -> None:
    name = f"Yaml {uuid4().hex[:12]}"
    text = f"name: {name}\nsteps:\n- type: transform\n  name: a\n  input: {{no: no, n: 012, e: 1e3, d: 2026-01-01}}\n"
    for path in (f"{WORKFLOWS}/validate", WORKFLOWS):
        answer = await demo.post(path, content=text, headers=AS_YAML)
        assert answer.status_code in {200, 201}, answer.text
    made = answer.json()
    assert made["steps"][0]["input"] == {"no": "no", "n": "012", "e": 1000.0, "d": "2026-01-01"}
    revised = await demo.patch(f"{WORKFLOWS}/{made['id']}", content="tags: [on, off]", headers=AS_YAML)
    assert revised.json()["tags"] == ["on", "off"]
    assert revised.json()["revision"] == 2


@pytest.mark.parametrize(
    ("text", "headers", "code"),
    [
        ("name: a\nname: b", AS_YAML, "duplicate_key"),
        ("name: !!python/name:os.system x", AS_YAML, "yaml_tag"),
        ("- " * 300_000, AS_YAML, "nesting_too_deep"),
        ("a: [", AS_YAML, "not_yaml"),
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
         + "".join(f"b{n}: &b{n} [{', '.join(['*' + (f'b{n - 1}' if n else 'a')] * 9)}]\n" for n in range(40)),
         AS_YAML, "too_large"),
        ('{"name": "a", "name": "b"}', {"Content-Type": "application/json"}, "duplicate_key"),
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_taken(
    demo: httpx2.AsyncClient, text: str, headers: dict[str, str], code: str
) -> None:
    for send in (demo.post(WORKFLOWS, content=text, headers=headers),
                 demo.post(f"{WORKFLOWS}/validate", content=text, headers=headers)):  # fmt: skip
        answer = await send
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] == "invalid_input"
        assert [fault["code"] for fault in answer.json()["errors"]] == [code]


async def test_yaml_that_is_too_large_is_refused(demo: httpx2.AsyncClient) -> None:
    answer = await demo.post(WORKFLOWS, content="#" * 1_100_000, headers=AS_YAML)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_what_changed_between_revisions(demo: httpx2.AsyncClient) -> None:
    made = await created(demo, flow(give("a", 1), give("b", 2), timeout_seconds=5))
    one = f"{WORKFLOWS}/{made['id']}"
    assert (await demo.get(f"{one}/diff")).json() == {
        "from_revision": 1, "to_revision": 1, "definition": [], "steps": [], "truncated": False,
    }  # fmt: skip
    await demo.patch(one, json={"steps": [give("c", 3), give("a", 9)], "timeout_seconds": 6})
    await demo.patch(one, json={"description": "third"})
    asked = (await demo.get(f"{one}/diff", params={"from": 1, "to": 2})).json()
    assert [(field["path"], field["before"], field["after"]) for field in asked["definition"]] == [
        ("timeout_seconds", 5, 6)
    ]
    assert [(step["kind"], step["step"]) for step in asked["steps"]] == [
        ("removed", "b"), ("added", "c"), ("changed", "a"),
    ]  # fmt: skip
    newest = (await demo.get(f"{one}/diff")).json()
    assert (newest["from_revision"], newest["to_revision"], newest["steps"]) == (2, 3, [])
    assert (await demo.get(f"{one}/diff", params={"from": 1, "to": 9})).status_code == 404
    assert (await demo.get(f"{one}/diff", params={"from": 0})).status_code == 400
    assert (await demo.get(f"{WORKFLOWS}/{uuid4()}/diff")).status_code == 404


async def test_an_export_defines_the_same_workflow(demo: httpx2.AsyncClient) -> None:
    choice = {"type": "conditional", "name": "c", "condition": "$.input.x", "if_true": [give("t", "no")]}
    made = await created(demo, flow(give("a", {"n": "012", "text": "one\n two\n"}), choice, output="{c.result}"))
    one = f"{WORKFLOWS}/{made['id']}"
    await demo.patch(one, json={"description": "second"})
    as_yaml = await demo.get(f"{one}/export", params={"revision": 1})
    as_json = await demo.get(f"{one}/export", params={"revision": 1, "format": "json"})
    assert as_yaml.headers["content-type"].split(";")[0] == "application/yaml"
    assert as_json.headers["content-type"].split(";")[0] == "application/json"
    assert made["slug"] in as_yaml.headers["content-disposition"]
    assert yaml.safe_load(as_yaml.text) == as_json.json()
    assert as_yaml.text.startswith("name: ")
    assert "second" in (await demo.get(f"{one}/export")).text

    for answer in (as_yaml, as_json):
        headers = {"Content-Type": answer.headers["content-type"]}
        assert (await demo.patch(one, content=answer.content, headers=headers)).status_code == 200
    same = (await demo.get(f"{one}/diff", params={"from": 1})).json()
    assert same["steps"] == []
    assert [field["path"] for field in same["definition"]] == ["description"]  # PATCH keeps what it does not name
    assert (await demo.get(f"{one}/export", params={"format": "xml"})).status_code == 400
    assert (await demo.get(f"{one}/export", params={"revision": 99})).status_code == 404


async def test_the_command_line_lists_shows_compares_and_exports(
    demo: httpx2.AsyncClient, command: dict[str, str], tmp_path: Path
) -> None:
    definition = {**flow(*SURPRISING), "slug": f"cli-{uuid4().hex[:12]}", "category": f"c{uuid4().hex}"}
    slug = definition["slug"]
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(definition))
    for asked in (("validate", str(file)), ("apply", str(file))):
        code, out, err = await agentic(command, "workflows", *asked)
        assert (code, "may_be_missing" in err, "Warning: steps[1].input" in err) == (0, True, True), err
        assert "Warning" not in out
    _, said, err = await agentic(command, "workflows", "validate", str(file), "--json")
    assert [one["code"] for one in json.loads(said)["warnings"]] == ["may_be_missing"]
    assert err == ""

    code, _, err = await agentic(command, "workflows", "run", slug, "--input", '{"go": true}', "--json")
    assert code == 0, err
    async with asyncio.timeout(PATIENCE):
        while (await demo.get(WORKFLOWS, params={"slug": slug})).json()["workflows"][0]["success_count"] < 1:
            await asyncio.sleep(0.05)
    code, listed, err = await agentic(command, "workflows", "list", "--category", definition["category"])
    assert code == 0, err
    assert [word in listed for word in (slug, "active", "100%")] == [True] * 3
    _, lines, _ = await agentic(command, "workflows", "list", "--category", definition["category"], "--json")
    assert [json.loads(line)["execution_count"] for line in lines.splitlines()] == [1]
    code, shown, err = await agentic(command, "workflows", "show", slug)
    assert code == 0, err
    assert [word in shown for word in ("1 runs", "100% went well", "$.input.go", "revision 1")] == [True] * 4

    file.write_text(json.dumps({**definition, "steps": [give("b", 7), give("n")]}))
    assert (await agentic(command, "workflows", "apply", str(file)))[0] == 0
    code, compared, err = await agentic(command, "workflows", "diff", slug)
    assert code == 0, err
    assert "revision 1 → 2" in compared
    assert [word in compared for word in ("removed a", "added n", "changed b", 'input: "{a.x}" → 7')] == [True] * 4
    _, raw, _ = await agentic(command, "workflows", "diff", slug, "--from", "1", "--to", "2", "--json")
    assert {step["kind"] for step in json.loads(raw)["steps"]} == {"removed", "added", "changed"}

    out = tmp_path / "out.yaml"
    assert await agentic(command, "workflows", "export", slug, "--revision", "1", "-o", str(out)) == (0, "", "")
    code, printed, _ = await agentic(command, "workflows", "export", slug, "--revision", "1")
    assert (code, printed) == (0, out.read_text())
    assert (await agentic(command, "workflows", "apply", str(out)))[0] == 0
    _, raw, _ = await agentic(command, "workflows", "diff", slug, "--from", "1", "--to", "3", "--json")
    assert msgspec.json.decode(raw)["steps"] == []
    assert msgspec.json.decode(raw)["definition"] == []


async def test_a_slug_that_nobody_has(command: dict[str, str]) -> None:
    for verb in ("show", "diff", "export"):
        code, out, err = await agentic(
            command, "workflows", verb, "nobody-has-this", *(["--json"] if verb != "export" else [])
        )
        assert (code, out) == (1, "")
        assert "workflow_not_found" in err


async def test_a_file_in_which_a_key_stands_twice(command: dict[str, str], tmp_path: Path) -> None:
    for name, text in (("x.yaml", "name: a\nname: b"), ("x.json", '{"name": "a", "name": "b"}')):
        (tmp_path / name).write_text(text)
        code, _, err = await agentic(command, "workflows", "validate", str(tmp_path / name), "--json")
        assert (code, json.loads(err)["error"]["code"]) == (2, "bad_file")
        assert [fault["code"] for fault in json.loads(err)["error"]["errors"]] == ["duplicate_key"]
