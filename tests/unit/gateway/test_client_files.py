"""Files of MCP clients: what is read in them, which values are credentials, and what is written for each client."""

import time
from typing import Any

import msgspec
import pytest

from services.mcp_gateway.domain.clients.config import read_config
from services.mcp_gateway.domain.clients.credentials import is_credential, is_credential_name, secret_name
from services.mcp_gateway.domain.clients.exporting import Client, export, is_own_endpoint
from services.mcp_gateway.domain.clients.importing import Draft, drafts_of
from services.mcp_gateway.domain.clients.jsonc import load_jsonc
from services.mcp_gateway.domain.server import ServerDefinition
from shared.errors import InvalidInput


def drafts(servers: dict[str, Any], **inputs: str) -> dict[str, Draft]:
    return {draft.name: draft for draft in drafts_of(read_config({"mcpServers": servers}), inputs)}


def draft(server: dict[str, Any]) -> Draft:
    return drafts({"s": server})["s"]


def definition(server: dict[str, Any]) -> ServerDefinition:
    made = draft(server)
    assert made.definition is not None
    assert made.faults == []
    return made.definition


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('// x\n{"a": /* , } */ 1, // y\n}', {"a": 1}),
        ('{"a": [1, 2, ], }', {"a": [1, 2]}),
        ('{"a": [1, // one\n // two\n ]}', {"a": [1]}),
        ('{"a": "// no, /* comment */ ,]"}', {"a": "// no, /* comment */ ,]"}),
        (r'{"a": "\"// \\", "b": 1}', {"a": '"// \\', "b": 1}),
    ],
)
def test_comments_and_trailing_commas_are_none(text: str, value: Any) -> None:
    assert load_jsonc(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a": 1,, }', "/* open", '{"a": "hunter2', '{"a": 1, "a": 2}', "[" * 9_000, "9" * 5_000 + "x"],
)
def test_what_is_no_json_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        load_jsonc(text)
    assert "hunter2" not in error.value.message
    assert len(error.value.message) < 300


@pytest.mark.parametrize(
    "text", ["/", "//", "/*", "*/", ",]", ",}", '"', "\\", "\\\\", '\\"', "\n", "\ufeff", "\x7f", "é😀"]
)
def test_plain_json_is_read_as_it_is(text: str) -> None:
    value = {text: [text, {"a": text + text}, f" {text} "], "b": [[], {}, None, 1.5e3, True]}
    assert load_jsonc(msgspec.json.encode(value).decode()) == value
    assert load_jsonc(msgspec.json.format(msgspec.json.encode(value).decode())) == value


@pytest.mark.parametrize(
    "text", ["/*" + "*" * 250_000, "," * 250_000, ", " * 125_000, "," + " " * 250_000, "/**" * 80_000]
)
def test_hostile_texts_take_no_long_time(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(InvalidInput):
        load_jsonc(text)
    assert time.process_time() - begun < 2.0


@pytest.mark.parametrize(
    "name",
    ["GITHUB_TOKEN", "OPENAI_API_KEY", "X-API-Key", "Authorization", "apiKey", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD",
     "DATABASE_URL", "API_KEY_2", "DB_PASS", "Cookie", "key"],
)  # fmt: skip
def test_names_of_credentials(name: str) -> None:
    assert is_credential_name(name)


@pytest.mark.parametrize("name", ["MAX_TOKENS", "KEYBOARD", "LOG_LEVEL", "AUTHOR", "TOKENIZERS_PARALLELISM", "REGION"])
def test_names_of_other_things(name: str) -> None:
    assert not is_credential_name(name)


@pytest.mark.parametrize(
    "value",
    ["ghp_0123456789abcdefghij", "postgres://ada:lovelace@db/x", "0123456789abcdef0123456789abcdef",
     "eyJhbGciOi.eyJzdWIiOiIx", "xoxb-0123456789-abcdefghij", '{"k": "Zm9vYmFy0123456789Zm9v"}'],
)  # fmt: skip
def test_values_that_look_like_credentials(value: str) -> None:
    assert is_credential(value)


@pytest.mark.parametrize(
    "value",
    ["info", "/home/ada/projects/thing2", "https://api.example.org/v1", "@modelcontextprotocol/server-filesystem",
     "mcp-server-time==2026.10.19", "America/New_York", "550e8400-e29b-41d4-a716-446655440000", "us-east-1", ""],
)  # fmt: skip
def test_values_that_do_not(value: str) -> None:
    assert not is_credential(value)


@pytest.mark.parametrize(
    ("text", "name"), [("X-Api-Key", "X_Api_Key"), ("1st", "_1st"), ("日本", "SECRET"), ("a" * 99, "a" * 63)]
)
def test_a_secret_has_a_name_that_it_can_have(text: str, name: str) -> None:
    assert secret_name(text) == name


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--api-key=k1"], ("--api-key={secret.api_key}",)),
        (["--api-key", "k1"], ("--api-key", "{secret.api_key}")),
        (["-e", "TOKEN=k1"], ("-e", "TOKEN={secret.TOKEN}")),
        (["--header", "Authorization: Bearer k1"], ("--header", "Authorization: Bearer {secret.Authorization}")),
        (["--token", "--verbose"], ("--token", "--verbose")),
        (["0123456789abcdef0123456789abcdef"], ("{secret.ARG_0}",)),
        (["a", "--dir", "/x"], ("a", "--dir", "/x")),
        (["--key", "${KEY}"], ("--key", "{secret.KEY}")),
        (["--level", "${LEVEL:-info}"], ("--level", "info")),
    ],
)
def test_credentials_among_arguments(args: list[str], expected: tuple[str, ...]) -> None:
    assert definition({"command": "x", "args": args}).args == expected


def test_the_same_name_with_another_value_is_another_secret() -> None:
    one, two, same = drafts(
        {name: {"command": "x", "env": {"API_KEY": value}} for name, value in (("a", "k1"), ("b", "k2"), ("c", "k1"))}
    ).values()
    assert [made.secrets[0].name for made in (one, two, same)] == ["API_KEY", "b_API_KEY", "API_KEY"]


def test_arguments_refer_to_the_variables_of_their_server() -> None:
    made = definition({"command": "x", "args": ["${LEVEL}", "${TOKEN}"], "env": {"LEVEL": "info", "TOKEN": "k1"}})
    assert made.args == ("info", "{secret.TOKEN}")
    circle = draft({"command": "x", "env": {"A": "${B}", "B": "${A}"}})
    assert circle.definition is not None
    assert circle.definition.env_vars == {"A": "{secret.B}", "B": "{secret.A}"}


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        ({"url": "https://x.org/mcp"}, "streamable_http"),
        ({"serverUrl": "https://x.org/mcp"}, "streamable_http"),
        ({"httpUrl": "https://x.org/mcp"}, "streamable_http"),
        ({"type": "http", "url": "https://x.org/sse"}, "streamable_http"),
        ({"type": "streamableHttp", "url": "https://x.org/mcp"}, "streamable_http"),
    ],
)
def test_clients_write_addresses_in_many_ways(server: dict[str, Any], kind: str) -> None:
    made = definition(server)
    assert (made.server_type, (made.url or "")[:14]) == (kind, "https://x.org/")


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        ("/opt/homebrew/bin/npx", ["-y", "x"], ("npx", "-y", "x")),
        ("C:\\Program Files\\nodejs\\npx.cmd", ["x"], ("npx", "x")),
        ("cmd", ["/c", "npx", "-y", "x"], ("npx", "-y", "x")),
        ("/usr/local/bin/thing", [], ("/usr/local/bin/thing",)),
    ],
)
def test_runners_are_looked_for_here(command: str, args: list[str], expected: tuple[str, ...]) -> None:
    made = definition({"command": command, "args": args})
    assert (made.command, *made.args) == expected


def test_a_bridge_is_read_and_not_started() -> None:
    args = ["-y", "mcp-remote@0.1.18", "https://x.org/mcp", "--header", "X-Team:red", "--transport", "http-only"]
    made = definition({"command": "npx", "args": args})
    assert (made.server_type, made.url, made.config.headers) == (
        "streamable_http",
        "https://x.org/mcp",
        {"X-Team": "red"},
    )
    other = definition({"command": "npx", "args": ["-y", "mcp-remote-other", "https://x.org/mcp"]})
    assert other.server_type == "stdio"


@pytest.mark.parametrize("client", ["claude-desktop", "vscode", "cursor"])
@pytest.mark.parametrize("profile", [None, "support"])
def test_what_is_exported_is_read_again(client: Client, profile: str | None) -> None:
    exported = export(client, "https://platform.example.org", profile)
    (made,) = drafts_of(read_config(exported.config), {})
    assert made.faults == []
    assert made.definition is not None
    assert (made.definition.server_type, made.definition.url) == ("streamable_http", exported.url)
    assert made.definition.config.headers == {"Authorization": f"Bearer {{secret.{made.secrets[0].name}}}"}


def test_http_is_told_to_the_bridge_only_where_it_has_to_be() -> None:
    def args(origin: str) -> list[str]:
        found: list[str] = export("claude-desktop", origin, None).config["mcpServers"]["agentic"]["args"]
        return found

    assert "--allow-http" in args("http://platform.example.org")
    assert "--allow-http" not in args("http://localhost:8000") + args("https://platform.example.org")
    assert not any(" " in word for word in args("https://platform.example.org"))


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://a.org/mcp", True),
        ("http://A.org/mcp/support", True),
        ("http://a.org/mcpx", False),
        ("http://a.org.evil/mcp", False),
        ("http://a.org:81/mcp", False),
        ("", False),
    ],
)
def test_the_platform_knows_its_own_endpoint(url: str, own: bool) -> None:
    assert is_own_endpoint(url, "http://a.org") is own


@pytest.mark.parametrize(
    "server",
    [
        {"url": "http://["},
        {"command": "x", "args": ["a"] * 101},
        {"command": "x", "env": {f"V{number}": "" for number in range(101)}},
        {"command": "x", "args": ["y" * 4_001]},
        {"command": "x", "args": ["${A}" * 900], "env": {"A": "b" * 900}},
        {"command": "x", "args": ["${a b}" * 600]},
        {"command": "x", **{f"k{number}": 1 for number in range(5_000)}, "cwd": "/"},
        {"command": 1},
        [],
        None,
    ],
)
def test_what_is_odd_or_too_large_is_a_fault_and_a_short_answer(server: Any) -> None:
    made = draft(server)
    assert 0 < len(made.faults) <= 50
    assert len(msgspec.json.encode(made)) < 20_000
