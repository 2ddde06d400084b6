"""The rules of who may import whom, how large a module may be, and where SQL stands. They hold for every file."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("agent", "mcp_gateway", "rag", "tenant", "workflow")
LINES_MAX = 500

# What a service has, whoever wrote it. `app` and `adapters` hold what it does and how, if it does anything yet.
FILES = ("README.md", "__init__.py", "__main__.py", "bootstrap.py", "config.py", "errors.py", "limits.py", "metrics.py")
FILES_WITHIN = ("entry/api.py",)
FOLDERS = frozenset({"domain", "app", "adapters", "entry"})
# The MCP servers that come with the gateway are programs of their own: they run without the service.
OWN_FOLDERS = {"mcp_gateway": frozenset({"servers"})}

VAGUE = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"})

# The clock, randomness and everything that reaches out of the process.
IMPURE = frozenset(
    {
        "asyncio", "asyncpg", "faststream", "http", "httpx2", "litestar", "mcp", "nats", "prometheus_client", "random",
        "requests", "secrets", "socket", "sqlite3", "ssl", "subprocess", "threading", "time", "urllib.request",
        "uvicorn", "uvloop",
    }
)  # fmt: skip
IMPURE_CALLS = frozenset({"open", "uuid1", "uuid4", "uuid7", "new_id", "now", "utcnow", "today", "urandom", "getenv"})
# Parts of shared that do I/O; the rest is types and pure functions.
IMPURE_SHARED = ("auth.remote", "bus", "db", "eventstore.postgres", "http", "net", "runtime", "tail", "telemetry.logs")

SQL_VERB = re.compile(r"\s*(select|insert\s+into|update|delete\s+from|with)\b", re.IGNORECASE)
SQL_BODY = re.compile(
    r"\b(select\b.+\bfrom|insert\s+into\s+\w|update\s+\w+\s+set|delete\s+from\s+\w)", re.IGNORECASE | re.DOTALL
)


def sources(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def named(files: list[Path]) -> list[object]:
    return [pytest.param(file, id=str(file.relative_to(ROOT))) for file in files]


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), str(file))


def imports(file: Path) -> set[str]:
    """Return the dotted names that a file imports, wherever in it; `from a import b` counts as a and as a.b."""
    found: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.relative_to(ROOT)}:{node.lineno}: relative import"
            assert node.module is not None
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def reaches(file: Path, *packages: str) -> set[str]:
    return {name for name in imports(file) if any(within(name, package) for package in packages)}


def layer_files(layer: str) -> list[Path]:
    return [file for service in SERVICES for file in sources(f"services/{service}/{layer}")]


@pytest.mark.parametrize("file", named(sources("shared")))
def test_shared_imports_no_service_and_no_infra(file: Path) -> None:
    assert not reaches(file, "services", "infra", "tests")


@pytest.mark.parametrize("file", named(sources("services")))
def test_a_service_imports_neither_another_service_nor_infra(file: Path) -> None:
    own = file.relative_to(ROOT / "services").parts[0]
    others = [f"services.{name}" for name in SERVICES if name != own]
    assert not reaches(file, "infra", "tests", *others)


@pytest.mark.parametrize("file", named(sources("infra")))
def test_infra_imports_no_service(file: Path) -> None:
    assert not reaches(file, "services", "tests")


@pytest.mark.parametrize("file", named(layer_files("domain")))
def test_domain_is_pure(file: Path) -> None:
    service = file.relative_to(ROOT / "services").parts[0]
    layers = [f"services.{service}.{layer}" for layer in ("app", "adapters", "entry", "bootstrap", "config", "metrics")]
    assert not reaches(file, *layers, *IMPURE, *(f"shared.{part}" for part in IMPURE_SHARED))
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    assert not called & IMPURE_CALLS


@pytest.mark.parametrize("file", named(layer_files("app")))
def test_app_knows_ports_and_not_adapters(file: Path) -> None:
    service = file.relative_to(ROOT / "services").parts[0]
    assert not reaches(file, *(f"services.{service}.{layer}" for layer in ("adapters", "entry", "bootstrap")))
    assert not reaches(file, "asyncpg", "faststream", "litestar", "nats", "httpx2", "mcp")


@pytest.mark.parametrize("file", named([*layer_files("entry"), *layer_files("adapters")]))
def test_only_bootstrap_wires(file: Path) -> None:
    service, layer = file.relative_to(ROOT / "services").parts[:2]
    other = "adapters" if layer == "entry" else "entry"
    assert not reaches(file, f"services.{service}.{other}", f"services.{service}.bootstrap")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_plan(service: str) -> None:
    home = ROOT / "services" / service
    missing = [name for name in (*FILES, *FILES_WITHIN) if not (home / name).is_file()]
    assert not missing
    tracked = {entry.name for entry in home.iterdir() if entry.name != "__pycache__" and not _is_empty(entry)}
    unknown = tracked - FOLDERS - OWN_FOLDERS.get(service, frozenset()) - set(FILES)
    assert not unknown


def _is_empty(entry: Path) -> bool:
    return entry.is_dir() and not any(path.is_file() for path in entry.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize("file", named(sources("shared", "services", "infra", "bench", "tests")))
def test_a_module_is_small_and_named_for_what_it_is(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LINES_MAX
    assert not VAGUE & {*file.relative_to(ROOT).with_suffix("").parts}


@pytest.mark.parametrize("file", named(sources("shared", "services", "infra")))
def test_sql_stands_in_sql_files(file: Path) -> None:
    found = [f"{file.relative_to(ROOT)}:{line}: {text[:60]!r}" for line, text in sql_in(tree(file))]
    assert not found


def sql_in(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield statements that Python puts together, and constant ones that are longer than a line."""
    skipped = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in ast.walk(node) if part is not node}
    for node in ast.walk(module):
        if id(node) not in skipped and (text := _suspect(node)) and is_sql(text):
            yield getattr(node, "lineno", 0), text


def _suspect(node: ast.AST) -> str:
    """Return the constant text of an expression that puts text together, or that is longer than a line."""
    match node:
        case ast.JoinedStr(values=values) if len(values) > 1:
            return "".join(_constant(part, "x") for part in values)
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
            return _constant(left, "") + _constant(right, "")
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "join")):
            return _constant(value, "")
        case ast.Constant(value=str() as text) if node.lineno != node.end_lineno or "\n" in text.strip():
            return text
    return ""


def is_sql(text: str) -> bool:
    return SQL_VERB.match(text) is not None and SQL_BODY.search(text) is not None


def _constant(node: ast.expr, otherwise: str) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else otherwise


@pytest.mark.parametrize(
    "code",
    [
        'q = f"SELECT * FROM {table}"',
        'q = f"insert into {table} values (1)"',
        'q = "DELETE FROM t WHERE id = " + key',
        'q = "update t set a = %s" % value',
        'q = "select a from {}".format(table)',
        'q = """\n  select a\n  from t\n"""',
        'q = ("select a "\n     "from t")',
    ],
)
def test_the_rule_about_sql_sees(code: str) -> None:
    assert list(sql_in(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        'q = "select 1"',
        'q = "select a from t where id = $1"',
        'message = f"Update {name}: set it to another value."',
        '"""Select rows\n\nfrom a table."""',
        'raise Refused(f"Delete {name} from the list first.")',
    ],
)
def test_the_rule_about_sql_lets_pass(code: str) -> None:
    assert not list(sql_in(ast.parse(code)))
