"""Every bound of the local platform, by name. Seconds unless the name says otherwise."""

from typing import Final

FIRST_HTTP_PORT: Final = 8000
HTTP_PORTS_TRIED: Final = 100
FIRST_INNER_PORT: Final = 10_000

WORKFLOW_PROCESSES_MAX: Final = 16
"""They share 32 partitions."""

SOCKET_PATH_BYTES: Final = 107
"""`sun_path` holds 108 bytes including the terminating zero (unix(7))."""

LOG_ROTATE_BYTES: Final = 8 * 1024 * 1024
LOG_TAIL_BYTES: Final = 4096

READY_TIMEOUT: Final = 60.0
"""How long one process may take from its start until it answers. Crash recovery of a large WAL counts into it."""

READY_POLL: Final = 0.01
HEALTH_TIMEOUT: Final = 2.0

RESTART_DELAY_FIRST: Final = 0.1
RESTART_DELAY_MAX: Final = 5.0
RESTART_STEADY_AFTER: Final = 10.0
"""A process that ran this long has recovered: its next death starts again with the first delay."""

DRAIN_TIMEOUT: Final = 30.0
"""Between SIGTERM and SIGKILL. A service may need 10 s for its requests, 10 s for the bus and 8 s for its records."""

UNSERVED_DRAIN_TIMEOUT: Final = 5.0
"""The same for what never answered: it has nothing to finish."""

SIGNALS_HEEDED: Final = 2
"""The first asks for a clean end, the second for one at once."""

SIGNALS_APART: Final = 0.1

ABORT_TIMEOUT: Final = 5.0
"""Between the signal that ends a part at once, where that is not SIGKILL, and SIGKILL."""

PREVIOUS_OWNER_TIMEOUT: Final = 15.0
"""How long to wait for a Postgres whose supervisor was killed and which is still shutting down."""

CLAIM_TRIES: Final = 5
CLAIM_RETRY: Final = 0.01

CONTROL_LINE_BYTES: Final = 1024 * 1024
