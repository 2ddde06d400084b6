"""Bounds that every service shares. A service's own bounds stand in its `limits.py`."""

import datetime as dt

GC_THRESHOLD = 20_000  # allocations between two looks for cycles: of the many objects of a batch few are in one
DB_POOL_SIZE = 8
DB_COMMAND_TIMEOUT_S = 30.0
DB_KEPT_IDLE_S = 60.0  # a kept connection that was not used for so long is opened anew
EVENT_STORE_MAX_BATCH = 512  # units of one commit; above about 100 rows a commit nothing more is gained
EVENT_STORE_MAX_QUEUED = 20_000  # appends waiting for a commit; more is refused at once rather than kept waiting
PAGE_MAX_BYTES = 16 * 1024 * 1024  # of the log, read at once; the event that passes it is still in
PAGE_INLINE_BYTES = 16 * 1024  # of one event: larger ones are fetched once it is known how many fit
RELAY_PAGE = 1_000  # positions of the log that the relay reads at once
FACT_MAX_BYTES = 3 * 1024 * 1024  # of a public event's data: below what NATS takes, headers included
SNAPSHOT_EVERY = 1_000  # events of one stream; below a few thousand a fold is cheaper than a snapshot
RELAY_CHECKPOINT_S = 0.5  # the relay's checkpoint may lag so far: what a crash repeats is dropped by message id
RELAY_BUSY_EVENTS = 16  # after a page of so many the relay pauses, to read more at the next time
RELAY_PAUSE_S = 0.005
RELAY_ACK_TIMEOUT_S = 5.0  # what JetStream has not confirmed by then is published again
TAIL_POLL_S = 1.0  # a lost wake-up is noticed after this
WAKE_INTERVAL_S = 0.01  # how often other processes are told of commits, at most
LEADER_RETRY_S = 1.0
PROJECTION_INTERVAL_S = 0.25  # how far a read model may lag behind its events while there are ever more
PROJECTION_CHECKPOINT_S = 0.5  # how far a checkpoint may lag behind where nothing that a read model wants lies
PROJECTION_BATCH = 5_000
ENVELOPE_MAX_ITEMS = 64  # items of one message on a hot subject
ENVELOPE_MAX_BYTES = 1_000_000  # bytes of one message; a larger item travels alone
NATS_MAX_PAYLOAD = 4 * 1024 * 1024
NATS_PENDING_BYTES = 512 * 1024 * 1024
HTTP_BODY_MAX_BYTES = 4 * 1024 * 1024
HTTP_DRAIN_S = 10
CANCEL_AGAIN_S = 6.0  # a task that was cancelled and goes on is cancelled again; the engine needs 5 to end
DRAIN_S = 10  # what was taken from the bus has so long to end when a service stops
IDEMPOTENCY_KEY_MAX = 255
IDEMPOTENCY_TTL = dt.timedelta(hours=24)
IDEMPOTENCY_CLAIM = dt.timedelta(minutes=1)  # a request that was not answered by then is taken as broken off
IDEMPOTENCY_PURGE_S = 600.0
POSITION_MAX_DIGITS = 18
READ_OWN_WRITES_WAIT_S = 2.0
READ_OWN_WRITES_POLL_S = 0.02
PAGE_MAX = 200
PAGE_DEFAULT = 50
WORD_MAX_CHARS = 256  # of a text that a list is narrowed by
VERSION_MAX = 2**31 - 1  # of a stream
REQUEST_TIMEOUT_S = 5.0  # one service asking another over NATS
REDELIVERIES_MAX = 5  # of a durable message, before it goes to the dead-letter stream
REDELIVERY_PAUSE_MAX_S = 30.0
CONSUMER_LOOK_S = 5.0  # how often a durable consumer is looked for on the server
SSE_MIN_INTERVAL_S = 0.05
SSE_KEEPALIVE_S = 15.0
CREDENTIAL_MAX_BYTES = 4096
CREDENTIAL_CACHE_SIZE = 10_000
CREDENTIAL_CACHE_S = 30.0
JWKS_MIN_INTERVAL_S = 1.0
READINESS_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 10.0  # resolving a name and opening a connection to somewhere outside
RESOLVED_ADDRESSES_MAX = 4  # of one host, tried one after the other
JSON_MAX_DEPTH = 64  # of what services give each other: deeper, not every reader can follow
TASKS_HELD_MAX = 4_096  # tasks that a worker is at; more are refused, and the engine's retries bring them again
TASK_ATTEMPT_MAX = 2**31 - 1
TASK_PRIORITY_MAX = 10
TASK_PRIORITY_DEFAULT = 5
FAIR_OLDEST_EVERY = 8  # each so-manieth slot of a tenant goes to its oldest waiting task, whatever its priority
WORKER_LOOK_S = 0.25  # how often a worker looks which of its tasks need a heartbeat
WORKER_MEMORY_ITEMS = 10_000  # results that a worker can say again
WORKER_MEMORY_BYTES = 64 * 1024 * 1024
YAML_MAX_DEPTH = 100
YAML_MAX_NODES = 100_000  # values in one document, those behind aliases counted each time
