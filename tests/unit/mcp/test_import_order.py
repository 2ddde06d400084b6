"""The modules of the bundled servers can be imported in any order: each only knows those below it."""

import ast
from pathlib import Path

import services.mcp_gateway.servers as package

FOLDER = Path(package.__path__[0])
MODULES = {
    ".".join((package.__name__, *path.relative_to(FOLDER).with_suffix("").parts)): path
    for path in FOLDER.rglob("*.py")
    if path.stem != "__init__"
}


def known_by(module: str) -> set[str]:
    """Return the modules of the package that one imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & MODULES.keys()


def test_no_module_knows_itself_by_way_of_others() -> None:
    for module in MODULES:
        reached: set[str] = set()
        ahead = known_by(module)
        while ahead:
            reached |= ahead
            ahead = set().union(*(known_by(name) for name in ahead)) - reached
        assert module not in reached
