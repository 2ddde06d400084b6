"""Every bound of the workflow service, by name. A bound that is reached is a typed error, never a crash."""

# The definition, as it is sent in.
MAX_DEFINITION_BYTES = 1024 * 1024
MAX_DEFINITION_DEPTH = 100
MAX_STEPS = 1_000
MAX_STEP_NESTING = 16
MAX_TRIGGERS = 50
MAX_TAGS = 50
MAX_NAME_CHARS = 255
MAX_STEP_NAME_CHARS = 64
MAX_TEXT_CHARS = 10_000
MAX_TOOL_NAME_CHARS = 255
MAX_EXPOSED_NAME_CHARS = 64  # of a workflow that is a tool: what the models take
EXPOSED_NAME_PLAIN_CHARS = MAX_EXPOSED_NAME_CHARS - len("workflows__")  # room for the server's name before it
MAX_SUBJECT_CHARS = 255
MAX_CRON_CHARS = 256
MAX_TIMEZONE_CHARS = 64
MAX_CACHED_TIMEZONES = 1_024
MAX_REPORTED_FAULTS = 100
MAX_REPORTED_NAMES = 20
MAX_FAULT_MESSAGE_CHARS = 300
OFFERED_PAGE = 200  # workflows that are tools, told to another service at once
OFFERED_PAGE_BYTES = 1024 * 1024  # of their definitions; the one that passes it is still in
QUERIES_AT_ONCE = 32  # of other services; more wait
REVISIONS_PAGE_BYTES = 16 * 1024 * 1024  # of definitions; the one that passes it is still in
MAX_DIFF_CHANGES = 1_000  # between two revisions, of steps and of fields, in all
# Over all steps: what validating one definition may cost.
MAX_DEFINITION_PLACEHOLDERS = 20_000
MAX_DEFINITION_EXPRESSIONS = 5_000
MAX_DEFINITION_EXPRESSION_CHARS = 128 * 1024

# Templates. A template is rendered in one go, so what one can multiply is bounded before and after.
MAX_TEMPLATE_DEPTH = 64
MAX_TEMPLATE_PLACEHOLDERS = 256
MAX_PLACEHOLDER_CHARS = 512
MAX_PLACEHOLDER_FILTERS = 8
MAX_RENDERED_CHARS = 1024 * 1024

# Conditions and output mappings (JSONPath). Nodes visited bound the time of one evaluation: about 50 ms.
MAX_EXPRESSION_CHARS = 2_000
MAX_EXPRESSION_NESTING = 32
MAX_EXPRESSION_OPERATORS = 64
MAX_VISITED_NODES = 100_000
MAX_PATTERN_CHARS = 256
MAX_PATTERN_PROGRAM_BYTES = 256 * 1024
MAX_CACHED_PATTERNS = 256
MAX_MAPPED_FIELDS = 200

# The execution's input, and the schema that it is checked against.
MAX_INPUT_BYTES = 1024 * 1024
MAX_INPUT_DEPTH = 100
MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_NESTING = 100
MAX_SUBSCHEMAS = 2_000
MAX_SCHEMA_PATTERN_PROGRAM_BYTES = 256 * 1024
# Subschemas times bytes of input, an upper bound of the validator's steps: about a second, and a tenth to explain.
MAX_VALIDATION_WORK = 500_000_000
MAX_EXPLAINED_WORK = 1_000_000

# What executions are found by, and lists of them.
MAX_ATTRIBUTES = 20
MAX_ATTRIBUTE_NAME_CHARS = 64
MAX_ATTRIBUTE_CHARS = 256
MAX_EXECUTION_TAGS = 20
MAX_TAG_CHARS = 64
MAX_LABELS_BYTES = 64 * 1024  # of a request to execute, beside its input
MAX_FILTERED_ATTRIBUTES = 5
LIST_SCAN_ROWS = 10_000  # a list looks at so many rows for one page, and counts so many for its total
LABEL_COUNT_ROWS = 1_000  # so far it is counted which of several labels is the rarest
STATS_MAX_PERIODS = 750  # hours or days of one answer: a month of hours, two years of days
STATS_DEFAULT_DAYS = 30
STATS_MAX_WORKFLOWS = 100  # of one answer, those that ran most
DURATION_ACCURACY = 0.02  # a percentile is at most so far from the duration that it stands for, in proportion
MAX_DURATION_MS = 10 * 366 * 24 * 3600 * 1000  # longer ones count as this

# Time and retries.
MAX_TIMEOUT_SECONDS = 30 * 24 * 3600
MAX_DELAY_SECONDS = 366 * 24 * 3600
MAX_RETRIES = 100
MAX_RETRY_INTERVAL_MS = 24 * 3600 * 1000
MAX_RETRY_CODES = 50

DEFAULT_EXECUTION_TIMEOUT_SECONDS = 3600
DEFAULT_TASK_TIMEOUT_SECONDS = 60
DEFAULT_MAX_RETRIES = 3
DEFAULT_RETRY_INTERVAL_MS = 1_000
DEFAULT_RETRY_MAX_INTERVAL_MS = 60_000
DEFAULT_RETRY_JITTER = 0.1
DEFAULT_PRIORITY = 5

# The engine.
ENGINE_BATCH = 512
ENGINE_BATCHES_WRITING = 2  # on their way to the log at once: while one is written the next is decided
ENGINE_MAX_QUEUED = 20_000
STARTS_AT_LEAST = 8  # of so many items taken one is a start, if any waits: what runs comes first, and not for ever
ENGINE_STATES_CACHED = 20_000
ENGINE_PROGRAMS_CACHED = 1_000
ENGINE_STOP_S = 5.0  # what is on its way to the log when the engine stops has so long to get there
MIN_DUES_COMPACTED = 10_000
TASK_GRACE_MS = 1_000  # a worker keeps a task's deadline and says why it was missed; this long after it the engine does
TASK_LEASE_MS = 3_000  # a task that was neither ended nor heard of for so long is sent again
SWEEP_S = 0.5
TAKE_UP_EVERY_MS = 30_000  # how often open executions that nobody here follows are looked for
COMMANDS_IN_FLIGHT = 512
FOLDED_AT_ONCE = 256  # events of a history that somebody asks for, before the engine has its turn

# Several processes: who owns which partitions. Docs: docs/scale-out.md.
LEASE_S = 3.0  # a process that did not renew for so long is taken over; one that died, as soon as another one looks
LEASE_MARGIN_S = 0.5  # it stops acting so long before that, by its own clock
RENEW_S = 1.0
RETRY_RENEWAL_S = 0.2  # after a renewal that failed
RENEW_MIN_S = 0.02  # others may say more often that there is something to see
STEADY_S = 2.0  # after an outage: before this, those that are not back yet are not taken over
MOVED_AT_ONCE = 4  # partitions that stand still at the same time while a new process gets its share
HANDED_FRESH_S = 2.0  # a partition taken so soon after it was given up: its tasks are waited for, not sent again
LOOK_AFTER_TAKING_MS = 5_000  # what a process that lost its lease was still writing is found after this
LEAVE_S = 2.0
HAND_OVER_S = 4.0  # the owner of an execution has so long to carry out what another process was asked for
MOVING_RETRY_S = 0.2  # a command for a partition that nobody owns just now comes again after this
ASTRAY_RESULTS_MAX = 20_000  # kept for partitions without an owner; more are dropped, and the tasks sent again

EVENTS_IN_FLIGHT = 64
COMMAND_ACK_WAIT_S = 5.0  # a start that a killed engine had taken comes again after this; a second one changes nothing
RECOVERY_PAGE = 500
MAX_HISTORY_EVENTS = 50_000
MAX_STEP_RESULT_BYTES = 1024 * 1024
MAX_TASK_PAYLOAD_BYTES = 1024 * 1024
RESOLVED_CACHE_S = 1.0
MAX_WAIT_SECONDS = 60
MAX_REASON_CHARS = 1_000
HTTP_CONCURRENCY = 256
HTTP_RESPONSE_MAX_BYTES = 1024 * 1024
MAX_EXECUTION_EVENTS_PAGE = 1_000

# Iterations, branches and waits.
MAX_BRANCHES = 100
MAX_FOREACH_ITEMS = 10_000
MAX_FOREACH_CONCURRENCY = 1_000
DEFAULT_FOREACH_CONCURRENCY = 20
MAX_LOOP_ITERATIONS = 10_000
DEFAULT_LOOP_ITERATIONS = 100
MAX_ASSIGNEES = 100
MAX_TOP_K = 200
DEFAULT_AGENT_TIMEOUT_SECONDS = 600
MAX_SIGNALS_KEPT = 1_000
MAX_HISTORY_BYTES = 64 * 1024 * 1024

# Concurrency keys.
MAX_CONCURRENCY = 10_000  # executions of one key at once
MAX_CONCURRENCY_KEY_CHARS = 255
MAX_QUEUED_PER_KEY = 10_000
SLOT_START_S = 20.0  # an execution that holds a slot begins within this or not at all: then its command comes again
SLOT_UNUSED_S = 60.0  # a slot is given on if nothing began with it: SLOT_START_S and a commit's longest time lie within
SLOTS_ADMITTED_AT_ONCE = 100  # of one key, in one look
SLOT_KEYS_AT_ONCE = 256  # keys that one look finds
SLOT_KEYS_SETTLED_AT_ONCE = 4
SLOTS_IDLE_PAUSE_S = 0.1  # between two looks while nobody waits for a slot
SLOTS_LOOK_PAUSE_S = 0.005  # after a look that found nothing to do
SLOTS_LOOK_SHARE = 4  # and that many times as long as it took, so that looking takes a fifth of the time at most
SLOTS_SWEEP_S = 5.0  # what a crash or a lost wake-up left undone is found after this

# Executions that run others.
MAX_CHILD_DEPTH = 16
CHILD_QUIET_MS = 30_000  # a parent asks how its child stands so often, should the child's own word be lost
LOOK_FOR_ORPHANS_S = 30.0
CHILDREN_CONCURRENCY = 256

# Time travel.
MAX_SHADOW_DIFFERENCES = 100
MAX_SHADOWS_PAGE = 100
MAX_STATE_CHANGES = 1_000

# One decision begins no further iterations after so many events (some ten milliseconds): others have their turn first.
MAX_DECISION_EVENTS = 500

# Triggers.
MAX_TRIGGER_DEPTH = 16  # an event that an execution emitted, which an event started, and so on: a loop ends here
SCHEDULE_POLL_S = 1.0  # how often it is looked which schedules are due, and how late a change of them takes effect
SCHEDULE_PAGE = 200  # schedules that are fired at once
SCHEDULE_GRACE_S = 60.0  # what is late by no more counts as on time, whatever the trigger says of missed moments
MAX_MISSED_RUNS = 100  # runs that a schedule with `missed: all` makes up for at once: the latest ones
MAX_WEBHOOK_BODY_BYTES = 1024 * 1024
MAX_WEBHOOK_ID_CHARS = 255
MAX_WEBHOOK_SIGNATURES = 16  # in one header: a sender that changes its key sends one by each
WEBHOOK_TOLERANCE_S = 300  # Standard Webhooks: how far a request's time may be from ours
MAX_WEBHOOK_HEADERS = 32  # that a template can see
MAX_WEBHOOK_HEADER_CHARS = 1_000
MAX_PREVIOUS_KEY_SECONDS = 7 * 24 * 3600  # a key that was replaced stays good no longer
# Of the worker pool: one for each thing that one process of several does (`lead`), one for its lease, and those that
# batches are written on.
HELD_CONNECTIONS = 8 + ENGINE_BATCHES_WRITING

# Retention and the archive.
MIN_RETENTION_DAYS = 1
MAX_RETENTION_DAYS = 3_650
RETENTION_EVERY_S = 60.0
RETENTION_POLICIES_SHOWN = 1_000
RETENTION_COUNTED = 10_000  # executions that the status route counts before it says "at least"
ARCHIVE_BATCH_EXECUTIONS = 1_000  # of one object
ARCHIVE_BATCH_BYTES = 32 * 1024 * 1024  # of events, before compression; one execution may be larger
ARCHIVE_MAX_EXECUTION_BYTES = 128 * 1024 * 1024  # of events; a larger execution stays in Postgres and is told of
ARCHIVE_MEMBER_BYTES = 128 * 1024  # of text: what a read by id decompresses; larger ones compress no better
ARCHIVE_MAX_PLANNED = 16  # objects that could not be written yet
ARCHIVE_WORKFLOWS_AT_ONCE = 50
ARCHIVE_TIMEOUT_S = 60.0  # one request to the object store, its retries included
ARCHIVE_CONNECT_TIMEOUT_S = 5.0
ARCHIVE_YOUNGEST_S = 12 * 3600.0  # whatever has an event younger than this cannot be archived
PERIOD_DAYS_UNLIMITED = 91  # of one period of the log where nothing is ever archived
PERIOD_DAYS_MAX = 28
PERIODS_PER_RETENTION = 4
PERIODS_AHEAD_DAYS = 3
PERIODS_MADE_AT_ONCE = 40
PERIOD_ROWS_MOVED_IN = 20_000  # events that move out of the catch-all when a period is made: the log stands still
PERIOD_SURVIVORS = 1_000  # streams that move out of a period before it is dropped
PERIOD_SURVIVING_ROWS = 20_000  # events of theirs: the log stands still while they move
PERIOD_SURVIVING_SHARE = 20  # a period is dropped when this many times more executions are archived than stay
PERIOD_DROP_TIMEOUT_S = 900.0
PERIOD_PURGE_STREAMS = 500
