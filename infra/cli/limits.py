"""Every bound of the command line, by name. Seconds unless the name says otherwise."""

from typing import Final

REQUEST_TIMEOUT: Final = 60.0
CONNECT_TIMEOUT: Final = 5.0
TOKEN_TIMEOUT: Final = 10.0

RUN_WAIT: Final = 20
"""How long one request for a finished execution waits (`Prefer: wait`)."""

STREAM_SILENCE: Final = 60.0
"""An event stream that is quiet for longer, keep-alive comments included, is opened again."""

STREAM_REOPENED: Final = 5
STREAM_REOPEN_DELAY: Final = 0.5

EVENTS_PAGE: Final = 1_000
WORKFLOWS_PAGE: Final = 100
LISTED_AT_ONCE: Final = 200
DEFINITION_MAX_BYTES: Final = 1024 * 1024

WIDE_TABLE: Final = 100
"""Columns of a terminal that the demo's table fits in with the executions' ids; narrower ones go without."""

SHOWN_VALUE_CHARS: Final = 100
"""Of a value in a diff for people; `--json` has it whole."""

DISK_LOW_BYTES: Final = 1024**3
PROBE_TIMEOUT: Final = 3.0
REBUILD_TIMEOUT = 600.0
SHADOWS_PAGE = 50
