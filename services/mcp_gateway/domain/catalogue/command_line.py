"""The command line of a package: `uvx name==version …` or `npx -y name@version …`. No shell reads it."""

from services.mcp_gateway.domain.catalogue.filling import Filled, Filling
from services.mcp_gateway.domain.catalogue.server_json import Argument, NamedArgument, Package, PositionalArgument

# Of the runner's own arguments, those that do not change what it runs or from where it takes it.
_UVX_ALLOWED = frozenset({"--quiet", "-q", "--python", "-p", "--no-progress"})
_NPX_ALLOWED = frozenset({"--yes", "-y", "--quiet", "-q"})
_SWITCH = {"true": True, "false": False}


def uvx_line(package: Package, filling: Filling, path: str) -> list[str]:
    """Return the words that start a package of PyPI."""
    before = _runner_words(package, filling, path, _UVX_ALLOWED)
    return ["uvx", *before, f"{package.identifier}=={package.version}", *_package_words(package, filling, path)]


def npx_line(package: Package, filling: Filling, path: str) -> list[str]:
    """Return the words that start a package of npm; npx is never to ask whether it may install it."""
    before = [word for word in _runner_words(package, filling, path, _NPX_ALLOWED) if word not in {"-y", "--yes"}]
    after = _package_words(package, filling, path)
    return ["npx", "-y", *before, f"{package.identifier}@{package.version}", *after]


def _runner_words(package: Package, filling: Filling, path: str, allowed: frozenset[str]) -> list[str]:
    words: list[str] = []
    for at, argument in enumerate(package.runtime_arguments):
        here = f"{path}.runtimeArguments[{at}]"
        name = argument.name if isinstance(argument, NamedArgument) else argument.value
        if name not in allowed:
            filling.fault(here, f"Of the runner's own arguments only {', '.join(sorted(allowed))} are passed on.")
            continue
        words += _words(argument, filling, here)
    return words


def _package_words(package: Package, filling: Filling, path: str) -> list[str]:
    words: list[str] = []
    for at, argument in enumerate(package.package_arguments):
        words += _words(argument, filling, f"{path}.packageArguments[{at}]")
    return words


def _words(argument: Argument, filling: Filling, path: str) -> list[str]:
    if isinstance(argument, PositionalArgument):
        name = argument.value_hint or path
        found = filling.all_of(name, path, argument, repeated=argument.is_repeated)
        return [filled.text for filled in found if not _steers(filled, name, filling)]
    if argument.value == "":
        return [argument.name]
    name = argument.name.lstrip("-")
    found = filling.all_of(name, path, argument, repeated=argument.is_repeated)
    return [word for filled in found for word in _option(argument, filled, name, filling)]


def _option(argument: NamedArgument, filled: Filled, key: str, filling: Filling) -> list[str]:
    if argument.format == "boolean" and filled.text in _SWITCH:
        return [argument.name] if _SWITCH[filled.text] else []
    if not filled.text:
        return [argument.name] if filled.given else []
    # In one word a value cannot be taken for another option. A short option has no such form.
    if argument.name.startswith("--"):
        return [f"{argument.name}={filled.text}"]
    return [] if _steers(filled, key, filling) else [argument.name, filled.text]


def _steers(filled: Filled, name: str, filling: Filling) -> bool:
    """Whether a given value would be taken for an option where a value is expected; that is a fault."""
    if not (filled.begins_given and filled.text.startswith("-")):
        return False
    filling.fault(f"values.{name}", "This would be taken for an option: it cannot begin with a dash.", "value_option")
    return True
