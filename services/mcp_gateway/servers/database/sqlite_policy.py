"""What an SQLite statement may do: an allow list as SQLite's authorizer, which it asks while it compiles."""

import sqlite3

_NAMES = """
    abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat concat_ws cos cosh count
    cume_dist date datetime degrees dense_rank exp first_value floor format glob group_concat hex ifnull iif
    instr json json_array json_array_length json_each json_error_position json_extract json_group_array
    json_group_object json_insert json_object json_patch json_pretty json_quote json_remove json_replace
    json_set json_tree json_type json_valid julianday lag last_value lead length like likelihood likely ln log
    log10 log2 lower ltrim match max median min mod nth_value ntile nullif octet_length percent_rank
    percentile percentile_cont percentile_disc pi pow power printf quote radians random rank replace round
    row_number rtrim sign sin sinh soundex sqlite_version sqrt strftime string_agg substr substring sum tan
    tanh time timediff total trim trunc typeof unhex unicode unixepoch unlikely upper -> ->>
"""
_FUNCTIONS = frozenset(_NAMES.split())
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_READ})
_STATEMENT_REFUSED = (
    "Only statements that read are allowed: SELECT, VALUES, WITH and EXPLAIN. Attached files, PRAGMA and transactions "
    "are not."
)
_SCHEMA_TABLES = frozenset({"sqlite_master", "sqlite_schema"})
_READABLE_MODULES = frozenset({"json_each", "json_tree"})


class Authorizer:
    """Allows reading and the listed functions. `denied` says what else a statement wanted."""

    def __init__(self, modules: frozenset[str]) -> None:
        # Names of virtual tables that exist without being created, such as dbstat.
        self._modules = modules - _READABLE_MODULES
        self.denied: tuple[str, str] | None = None

    def __call__(
        self, action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
    ) -> int:
        refusal = self._refusal(action, first or "", second or "")
        if refusal is None:
            return sqlite3.SQLITE_OK
        self.denied = self.denied or refusal
        return sqlite3.SQLITE_DENY

    def _refusal(self, action: int, first: str, second: str) -> tuple[str, str] | None:
        if action == sqlite3.SQLITE_FUNCTION and second.lower() not in _FUNCTIONS:
            return "function_refused", f"The function {second[:100]} is not among those that may be called."
        if action == sqlite3.SQLITE_READ and not self._readable(first.lower()):
            return "relation_refused", f"{first[:100]} is not read by query. Use list_tables and describe_table."
        # Full-text tables ask for the version of the data.
        if action in _READING or (action == sqlite3.SQLITE_PRAGMA and first == "data_version" and not second):
            return None
        return "statement_refused", _STATEMENT_REFUSED

    def _readable(self, table: str) -> bool:
        if table.startswith("sqlite_"):
            return table in _SCHEMA_TABLES
        return table not in self._modules and not table.startswith("pragma_")
