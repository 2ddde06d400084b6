"""What becomes of an entry of the catalogue: its ways, its command lines, and what values can and cannot do."""

import itertools
from typing import Any, get_args

import msgspec
import pytest

from services.mcp_gateway.adapters.known_servers import known_servers
from services.mcp_gateway.adapters.launching import BUNDLED_SERVERS
from services.mcp_gateway.domain.catalogue.entries import check_entry, entry_of, slug_of_entry
from services.mcp_gateway.domain.catalogue.server_json import ServerJson
from services.mcp_gateway.domain.catalogue.ways import Choice, choose, definition_of, ways_of
from services.mcp_gateway.domain.server import ServerDefinition, ServerType
from shared.errors import Unprocessable
from shared.secrets.references import OPENING as SECRET_OPENING


def published(package: dict[str, Any] | None = None, remote: dict[str, Any] | None = None) -> ServerJson:
    stdio = {"registryType": "npm", "identifier": "@x/y", "version": "1.0.0", "transport": {"type": "stdio"}}
    server: dict[str, Any] = {"name": "org.example/thing", "description": "d", "version": "1.0.0"}
    if package is not None:
        server["packages"] = [{**stdio, **package}]
    if remote is not None:
        server["remotes"] = [{"type": "streamable-http", **remote}]
    return msgspec.convert(server, ServerJson)


def installed(server: ServerJson, **values: Any) -> ServerDefinition:
    choice = Choice(values)
    return definition_of(entry_of(server, "own"), server, choose(server, choice), choice)


def refused(server: ServerJson, **values: Any) -> list[str]:
    with pytest.raises(Unprocessable) as error:
        installed(server, **values)
    return [fault.code for fault in error.value.faults]


def words(*arguments: dict[str, Any], **values: Any) -> tuple[str, ...]:
    definition = installed(published({"packageArguments": list(arguments)}), **values)
    assert (definition.command, *definition.args[:2]) == ("npx", "-y", "@x/y@1.0.0")
    return definition.args[2:]


def test_a_slug_is_the_name_in_lower_case_and_no_two_names_share_one() -> None:
    assert slug_of_entry("io.GitHub.x/Weather_1") == "io.github.x~weather_1"


@pytest.mark.parametrize(
    ("argument", "values", "expected"),
    [
        ({"type": "positional", "value": "run"}, {}, ("run",)),
        ({"type": "positional", "value": "--fixed"}, {}, ("--fixed",)),
        ({"type": "positional", "valueHint": "dir"}, {}, ()),
        ({"type": "positional", "valueHint": "dir", "default": "/x"}, {}, ("/x",)),
        ({"type": "positional", "valueHint": "dir", "isRepeated": True}, {"dir": ["a", "b"]}, ("a", "b")),
        ({"type": "positional", "value": "a={v}", "variables": {"v": {}}}, {"v": "-x"}, ("a=-x",)),
        ({"type": "positional", "value": "{v}", "variables": {"v": {}}}, {}, ()),
        ({"type": "named", "name": "--port"}, {"port": "80"}, ("--port=80",)),
        ({"type": "named", "name": "--port"}, {"port": "--evil"}, ("--port=--evil",)),
        ({"type": "named", "name": "-p"}, {"p": "80"}, ("-p", "80")),
        ({"type": "named", "name": "port"}, {"port": "80"}, ("port", "80")),
        ({"type": "named", "name": "--all"}, {"all": ""}, ("--all",)),
        ({"type": "named", "name": "--all", "value": ""}, {}, ("--all",)),
        ({"type": "named", "name": "--all", "default": ""}, {}, ()),
        ({"type": "named", "name": "--all", "format": "boolean", "value": "true"}, {}, ("--all",)),
        ({"type": "named", "name": "--all", "format": "boolean", "default": "true"}, {"all": "false"}, ()),
        ({"type": "named", "name": "-e", "isRepeated": True}, {"e": ["A=1", "B=2"]}, ("-e", "A=1", "-e", "B=2")),
        ({"type": "named", "name": "--x", "value": "{a}", "variables": {"a": {"value": "1"}}}, {}, ("--x=1",)),
        ({"type": "named", "name": "--x", "value": "{none}"}, {}, ("--x={none}",)),
    ],
)
def test_words_of_a_command_line(argument: dict[str, Any], values: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert words(argument, **values) == expected


@pytest.mark.parametrize(
    ("argument", "values", "expected"),
    [
        ({"type": "positional", "valueHint": "dir"}, {"dir": "-x"}, ["value_option"]),
        ({"type": "positional", "value": "{v}", "variables": {"v": {}}}, {"v": "--x"}, ["value_option"]),
        ({"type": "named", "name": "-p"}, {"p": "--x"}, ["value_option"]),
        ({"type": "named", "name": "--x", "isRequired": True}, {}, ["value_required"]),
        ({"type": "named", "name": "--x", "value": "1"}, {"x": "2"}, ["value_unknown"]),
        (
            {"type": "named", "name": "--x", "value": "{a}", "variables": {"a": {"isRequired": True}}},
            {},
            ["value_required"],
        ),
        (
            {"type": "named", "name": "--x", "isRequired": True, "value": "{a}", "variables": {"a": {}}},
            {},
            ["value_required"],
        ),
        ({"type": "positional", "valueHint": "d", "isRepeated": True}, {"d": ["x"] * 51}, ["value_too_often"]),
        (
            {"type": "named", "name": "--x", "value": "{a}" * 600, "variables": {"a": {}}},
            {"a": "y" * 100},
            ["too_large"],
        ),
    ],
)
def test_values_that_cannot_stand_in_it(argument: dict[str, Any], values: dict[str, Any], expected: list[str]) -> None:
    assert refused(published({"packageArguments": [argument]}), **values) == expected


def test_the_runner_is_told_to_ask_nothing_and_once() -> None:
    yes = {"type": "named", "name": "-y", "value": ""}
    assert installed(published({"runtimeArguments": [yes]})).args == ("-y", "@x/y@1.0.0")
    python = {"type": "named", "name": "--python", "value": "3.12"}
    pypi = {"registryType": "pypi", "identifier": "x-y", "runtimeArguments": [python]}
    definition = installed(published(pypi))
    assert (definition.command, definition.args) == ("uvx", ("--python=3.12", "x-y==1.0.0"))


def test_an_optional_header_without_its_variable_is_left_out() -> None:
    header = {"name": "Authorization", "value": "Bearer {token}", "variables": {"token": {"isSecret": True}}}
    server = published(remote={"url": "https://example.org/mcp", "headers": [header]})
    assert installed(server).config.headers == {}
    given = installed(server, token="{secret.mine}")
    assert given.config.headers == {"Authorization": "Bearer {secret.mine}"}
    assert refused(server, token="mine") == ["secret_in_the_clear"]


def test_a_remote_of_the_older_transport_is_one_where_the_gateway_reaches_such() -> None:
    server = published(remote={"type": "sse", "url": "https://example.org/sse"})
    (way,) = ways_of(server)
    assert (way.refused is None) is ("sse" in get_args(ServerType))


def test_a_url_that_begins_with_a_variable_takes_a_whole_address() -> None:
    server = published(remote={"url": "{base}/mcp?k={key}", "variables": {"base": {}, "key": {}}})
    url = installed(server, base="https://example.org:8443/x", key="a&b=c d").url
    assert url == "https://example.org:8443/x/mcp?k=a%26b%3Dc%20d"
    assert installed(server, base="https://example.org", key="{secret.k}").url == "https://example.org/mcp?k={secret.k}"
    assert refused(server, base="https://exa mple.org", key="k") == ["invalid"]
    assert refused(server, key="k") == ["value_required"]


_PIECES = ("", "{secret.x}", "secret.x", "{sec", "ret.x}", "{{v}}", "{v}{w}", "{u}x}")


@pytest.mark.parametrize("value", ["", "secret.x", "{secret.y}", "ret."])
def test_no_entry_names_a_secret_that_was_not_given(value: str) -> None:
    named = 0
    for template, fixed, default in itertools.product(_PIECES, repeat=3):
        variables = {"v": {"value": fixed}, "w": {"default": default}, "u": {}}
        item = {"name": "A", "value": template + "{u}", "variables": variables}
        for server in (
            published({"environmentVariables": [item]}),
            published(remote={"url": "{v}{w}" + template, "variables": variables}),
        ):
            try:
                check_entry(server)
                asked = {asked.name for way in ways_of(server) for asked in way.asks}
                definition = installed(server, **({"u": value} if "u" in asked else {}))
            except Unprocessable:
                continue
            text = definition.env_vars.get("A", "") + (definition.url or "")
            given = 2 * value.count(SECRET_OPENING)
            assert text.count(SECRET_OPENING) <= given, (template, fixed, default)
            named += text.count(SECRET_OPENING)
    assert bool(named) is (value == "{secret.y}")


@pytest.mark.parametrize("value", ["-", "--x", "-x=1", "x", " -x", "\t--x", "\u2013x", "x --y", "\n-x"])
def test_no_value_becomes_an_option(value: str) -> None:
    arguments = [
        {"type": "positional", "valueHint": "a"},
        {"type": "named", "name": "--b"},
        {"type": "named", "name": "-c"},
    ]
    server = published({"packageArguments": arguments})
    if value.startswith("-"):
        assert refused(server, a=value, b=value, c=value) == ["value_option", "value_option"]
    else:
        assert installed(server, a=value, b=value, c=value).args[2:] == (value, f"--b={value}", "-c", value)


def test_what_comes_with_the_platform_can_be_installed_as_it_stands() -> None:
    bundled = [server.definition() for server in BUNDLED_SERVERS.values()]
    shelved = known_servers(bundled)
    assert len({one.entry.slug for one in shelved}) == len(shelved)
    listed = [one for one in shelved if one.entry.origin == "listed"]
    assert len(listed) >= 8
    for one in listed:
        ways = ways_of(one.server)
        assert [way.refused for way in ways] == [None] * len(ways), one.entry.name
        assert all(asked.description for way in ways for asked in way.asks), one.entry.name
