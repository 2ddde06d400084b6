"""PostgreSQL's own grammar (libpg_query), and protection from what it does with hostile text."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pgparse

from services.mcp_gateway.limits import DATABASE_PARSER_STACK_BYTES, FAULT_MESSAGE_MAX_CHARS
from services.mcp_gateway.servers.tools import ToolRefused


def too_deep() -> ToolRefused:
    return ToolRefused(
        "statement_too_deep", "The statement is nested too deeply. Split it, or pass lists as one array parameter."
    )


def parse(sql: str) -> list[dict[str, Any]]:
    """Return the statements' trees. Raises `ToolRefused` (`sql_invalid`, `statement_too_deep`).

    Call it in `parsing_thread`: the tree is written as JSON by a recursion in C that does not look at its stack.
    """
    try:
        statements: list[dict[str, Any]] = pgparse.parse(sql)
    except RecursionError:
        raise too_deep() from None
    except pgparse.PGQueryError as error:
        message = str(error)
        if "memory exhausted" in message or "stack depth" in message:
            raise too_deep() from None
        raise ToolRefused(
            "sql_invalid", f"{message[:FAULT_MESSAGE_MAX_CHARS]}. This is PostgreSQL's grammar."
        ) from None
    return statements


def parsing_thread() -> ThreadPoolExecutor:
    """Return an executor of one thread, whose stack is large enough for the longest statement, however it nests.

    100,000 levels were measured to fit in 8 MiB; the longest statement has a third of that.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="parser")
    before = threading.stack_size(DATABASE_PARSER_STACK_BYTES)
    try:
        executor.submit(int).result()  # the thread starts with its first task
    finally:
        threading.stack_size(before)
    return executor
