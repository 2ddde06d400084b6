"""Which PostgreSQL statements are run: an allow list on the parse tree.

Names are only names here. What a name means to the server (a function of the user's that hides behind `lower`, a domain
with a check, `row.column` that is a function call) is asked of the catalogue, by `postgres_names.py`; this module
collects what has to be asked.
"""

from typing import Any

import msgspec

from services.mcp_gateway.limits import DATABASE_REPEAT_MAX, DATABASE_TREE_DEPTH_MAX
from services.mcp_gateway.servers.database import postgres_allowed as allowed
from services.mcp_gateway.servers.database.postgres_parser import parse, too_deep
from services.mcp_gateway.servers.tools import ToolRefused

Name = tuple[str, str]
"""Schema (empty if none was written) and name."""


class Named(msgspec.Struct):
    """The names in a statement whose meaning depends on the database."""

    functions: set[str] = msgspec.field(default_factory=set)
    operators: set[str] = msgspec.field(default_factory=lambda: {"=", "<>", "<", ">", "<=", ">="})
    types: set[Name] = msgspec.field(default_factory=set)
    relations: set[Name] = msgspec.field(default_factory=set)
    row_fields: set[str] = msgspec.field(default_factory=set)
    """The last parts of `a.b`: a function of a row, if there is no such column."""
    value_fields: set[str] = msgspec.field(default_factory=set)
    """The names in `(value).name`: a function of any value."""


def check(sql: str) -> Named:
    """Return the names that must be looked up. Raises `ToolRefused` if the statement is none that may be run."""
    statements = parse(sql)
    if not statements:
        raise _refused("There is no statement.")
    if len(statements) > 1:
        raise _refused("One statement at a time; one semicolon may end it.")
    named = Named()
    todo: list[tuple[str, Any, int]] = [("", statements[0], 0)]
    while todo:
        kind, node, depth = todo.pop()
        if depth > DATABASE_TREE_DEPTH_MAX:
            raise too_deep()
        if isinstance(node, list):
            todo += [("", item, depth + 1) for item in node]
        elif isinstance(node, dict):
            look = _LOOKS.get(kind)
            if look is not None:
                look(node, named)
            for key, value in node.items():
                _check_key(key)
                # This field holds one kind of node, and that is then not written.
                todo.append((str(_TYPED.get(key, key)), value, depth + 1))
    return named


_TYPED: dict[str, str] = {"typeName": "TypeName"}

_INSTEAD = {
    "intoClause": "SELECT INTO creates a table.",
    "lockingClause": "FOR UPDATE and its like lock rows.",
    "catalogname": "Leave out the database's name: another database cannot be reached.",
}


def _check_key(key: str) -> None:
    if key in allowed.NODES or key in allowed.FIELDS:
        return
    raise _refused(_INSTEAD.get(key, f"{key} is not among what a statement may have."))


def _refused(what: str) -> ToolRefused:
    return ToolRefused(
        "statement_refused",
        f"{what} Allowed are SELECT, VALUES, TABLE and WITH without changes, EXPLAIN without ANALYZE, and SHOW of "
        "harmless settings.",
    )


def _parts(names: list[dict[str, Any]]) -> list[str]:
    return [part["String"].get("sval", "") for part in names if "String" in part]


def _in_catalogue(names: list[dict[str, Any]]) -> str | None:
    """Return the name that is unqualified or of pg_catalog, else None."""
    match _parts(names):
        case [name] | ["pg_catalog", name]:
            return name
    return None


def _function(node: dict[str, Any], named: Named) -> None:
    name = _in_catalogue(node["funcname"])
    if name is None or name not in allowed.FUNCTIONS:
        shown = ".".join(_parts(node["funcname"]))[:100]
        raise ToolRefused(
            "function_refused",
            f"The function {shown} is not among those that may be called: PostgreSQL's own functions of numbers, text, "
            "times, JSON, arrays, ranges, aggregates and windows.",
        )
    named.functions.add(name)
    if name in allowed.REPEATING:
        _check_length(name, node.get("args", []))


def _check_length(name: str, arguments: list[Any]) -> None:
    match arguments[allowed.REPEATING[name] :]:
        case [{"A_Const": {"ival": dict(value)}}, *_] if value.get("ival", 0) <= DATABASE_REPEAT_MAX:
            return
    raise ToolRefused(
        "function_refused", f"The length that {name} is given must be a constant of at most {DATABASE_REPEAT_MAX}."
    )


def _operator(names: list[dict[str, Any]], named: Named) -> None:
    name = _in_catalogue(names)
    if name is None:
        raise ToolRefused("function_refused", "Only PostgreSQL's own operators and those of extensions may be used.")
    named.operators.add(name)


def _expression(node: dict[str, Any], named: Named) -> None:
    _operator(node["name"], named)


def _sub_link(node: dict[str, Any], named: Named) -> None:
    if "operName" in node:
        _operator(node["operName"], named)


def _sort(node: dict[str, Any], named: Named) -> None:
    if "useOp" in node:
        _operator(node["useOp"], named)


def _type(node: dict[str, Any], named: Named) -> None:
    match _parts(node.get("names", [])):
        case [name]:
            named.types.add(("", name))
        case [schema, name]:
            if schema == "pg_catalog" and name not in allowed.TYPES:
                raise ToolRefused("type_refused", f"The type {name} is not among those that may be used.")
            named.types.add((schema, name))
        case _:
            raise ToolRefused("type_refused", "A type's name has at most a schema before it.")


def _column(node: dict[str, Any], named: Named) -> None:
    fields = node["fields"]
    if len(fields) > 1:
        named.row_fields.update(_parts(fields[1:]))


def _indirection(node: dict[str, Any], named: Named) -> None:
    named.value_fields.update(_parts(node["indirection"]))


def _relation(node: dict[str, Any], named: Named) -> None:
    schema, name = node.get("schemaname", ""), node["relname"]
    if schema.startswith("pg_") or (not schema and name.startswith("pg_")):
        raise ToolRefused(
            "relation_refused",
            "The system catalogue is not read by query. Use list_tables, describe_table, get_schema or "
            "information_schema.",
        )
    named.relations.add((schema, name))


def _explain(node: dict[str, Any], _: Named) -> None:
    if "SelectStmt" not in node["query"]:
        raise _refused("EXPLAIN is for statements that read.")
    for option in node.get("options", []):
        if option["DefElem"]["defname"] not in allowed.EXPLAIN_OPTIONS:
            raise _refused(f"EXPLAIN takes no {option['DefElem']['defname']} here.")


def _show(node: dict[str, Any], _: Named) -> None:
    if node["name"].lower() not in allowed.SETTINGS:
        raise _refused("SHOW is for a few harmless settings, such as server_version and timezone.")


def _sample(node: dict[str, Any], _: Named) -> None:
    if _in_catalogue(node["method"]) not in allowed.SAMPLING:
        raise ToolRefused("function_refused", "The methods of TABLESAMPLE are bernoulli and system.")


_LOOKS = {
    "FuncCall": _function,
    "A_Expr": _expression,
    "SubLink": _sub_link,
    "SortBy": _sort,
    "TypeName": _type,
    "ColumnRef": _column,
    "A_Indirection": _indirection,
    "RangeVar": _relation,
    "ExplainStmt": _explain,
    "VariableShowStmt": _show,
    "RangeTableSample": _sample,
}
