"""Every command says what it does, what its arguments are, and how it is called."""

from collections.abc import Iterator

import click
import pytest

from infra.cli.main import agentic


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


ALL = dict(commands(agentic, "agentic"))


@pytest.mark.parametrize("path", ALL)
def test_a_command_says_what_it_does_in_one_line(path: str) -> None:
    first, *rest = (ALL[path].help or "").splitlines()
    assert first.endswith(".")
    assert len(first) <= 100
    assert not rest or rest[0] == ""


@pytest.mark.parametrize("path", [path for path, command in ALL.items() if not isinstance(command, click.Group)])
def test_a_command_shows_how_it_is_called_and_explains_what_it_takes(path: str) -> None:
    command = ALL[path]
    assert "Example" in (command.epilog or "")
    assert path in (command.epilog or "")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
        else:
            for word in parameter.make_metavar(click.Context(command)).strip("[]").split("|"):
                assert word in (command.help or ""), word
