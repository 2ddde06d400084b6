"""Every bound of the MCP gateway. Sizes are bytes, times are seconds unless the name says otherwise."""

KIB = 1024
MIB = 1024 * KIB

# Messages. A result above RESULT_MAX fails its call; a line above MESSAGE_MAX ends the session, since a peer that
# sends it is flooding and reading on to find the end of the line is what it wants.
MESSAGE_MAX_BYTES = 8 * MIB
RESULT_MAX_BYTES = 2 * MIB
ARGUMENTS_MAX_BYTES = 1 * MIB
UNSENT_MAX_BYTES = 8 * MIB
STDERR_LINE_MAX_BYTES = 4 * KIB
STDERR_LINES_LOGGED_PER_SECOND = 20
STDERR_BYTES_PER_SECOND = 1 * MIB
NOTIFICATIONS_PER_SECOND_MAX = 1_000
ASKS_PER_SESSION_MAX = 16
INPUT_ROUNDS_MAX = 10

# Tool lists: nobody's model can use more, and a server can page for ever.
TOOLS_MAX = 1_000
TOOL_PAGES_MAX = 100
TOOL_NAME_MAX_CHARS = 256

# Sessions.
START_SECONDS = 30.0
CALL_SECONDS_MAX = 3_600.0
CLOSE_STDIN_GRACE_SECONDS = 1.0
TERMINATE_GRACE_SECONDS = 1.0
KILL_GRACE_SECONDS = 5.0
PIPES_END_SECONDS = 1.0
HTTP_CLOSE_SECONDS = 2.0
HTTP_ERROR_BODY_MAX_BYTES = 64 * KIB
HTTP_RESUMES_MAX = 2
HTTP_REPLIES_MAX = 64
HTTP_POSTS_MAX = 256  # messages to one SSE server that it has not taken yet
HTTP_ENDPOINT_MAX_CHARS = 2_048
HTTP_STREAM_MAX_BYTES = 64 * MIB
HTTP_EVENT_LINES_MAX = 100_000  # comments too: each costs time, however short it is
HTTP_STREAM_END_SECONDS = 0.05
HTTP_RESUME_DELAY_SECONDS_MAX = 5.0
OAUTH_ANSWER_MAX_BYTES = 256 * KIB
OAUTH_REQUESTS_MAX = 32  # metadata at several places, registration, tokens
STANDING_RETRY_SECONDS = 0.5
STANDING_RETRY_SECONDS_MAX = 60.0
STANDING_STABLE_SECONDS = 30.0  # a stream that stood so long ended for no fault of its server

# The pool.
SESSIONS_PER_TENANT_MAX = 20
SESSIONS_MAX = 500
CALLS_IN_FLIGHT_PER_SESSION_MAX = 64
CALLS_WAITING_PER_SESSION_MAX = 1_024
IDLE_SECONDS = 600.0
REAP_INTERVAL_SECONDS = 15.0
EVICT_DRAIN_SECONDS = 30.0
RESTART_DELAY_SECONDS = 0.5
RESTART_DELAY_SECONDS_MAX = 30.0
STABLE_SECONDS = 60.0

# What a server process may use. RLIMIT_DATA and not RLIMIT_AS: V8 and Go reserve far more address space than they use.
PROCESS_CPU_SECONDS = 3_600
PROCESS_DATA_BYTES = 2_048 * MIB
PROCESS_OPEN_FILES = 256
PROCESS_FILE_BYTES = 256 * MIB
PROCESS_COUNT = 4_096

# Argument schemas, which come from servers that are not trusted.
SCHEMA_MAX_BYTES = 256 * KIB
SCHEMAS_CACHED = 2_048
SCHEMA_PATTERN_BYTES = 1 * MIB
ARGUMENT_FAULTS_MAX = 20
FAULT_MESSAGE_MAX_CHARS = 300

# The bundled servers.
SERVER_MESSAGE_MAX_BYTES = 16 * MIB
SERVER_CALLS_MAX = 256
SERVER_BATCH_MAX = 100
SERVER_DRAIN_SECONDS = 10
SERVER_LIST_TTL_MS = 300_000
SERVER_HTTP_CONNECTIONS_MAX = 256
SERVER_HTTP_SESSIONS_MAX = 1_000
SERVER_HTTP_BODIES_MAX_BYTES = 64 * MIB  # of all requests at once
SERVER_HTTP_HEAD_MAX_BYTES = 32 * KIB
SERVER_HTTP_HEAD_SECONDS = 10.0
SERVER_HTTP_BODY_SECONDS = 30.0
SERVER_HTTP_SEND_SECONDS = 30.0
SERVER_HTTP_IDLE_SECONDS = 60
SERVER_TOKEN_MIN_CHARS = 32

# Numbers of the bundled servers. 4,000 stays below CPython's 4,300-digit limit for int <-> text (CVE-2020-10735).
NUMBER_CHARS_MAX = 4_000
CALCULATOR_DIGITS_MAX = 4_000
CALCULATOR_DECIMAL_DIGITS = 34

# Files of the bundled server. The depth also bounds how many descriptors a walk holds open, below PROCESS_OPEN_FILES.
FILE_MAX_BYTES = (
    10 * MIB
)  # of one that is written by a client of the server's own; arguments bound it behind the gateway
FILE_READ_MAX_BYTES = (
    512 * KIB
)  # at once: what is read is sent twice, as structure and as text, within RESULT_MAX_BYTES
FILE_OFFSET_MAX = 2**53 - 1
FILE_WALKS_AT_ONCE = 4  # each holds a descriptor for each folder that it is in
FILE_PATH_MAX_BYTES = 4_096
FILE_NAME_MAX_BYTES = 255
FILE_PATH_DEPTH_MAX = 32
FILE_LINKS_MAX = 40
FILE_LISTED_MAX = 1_000
FILE_PATTERN_MAX_CHARS = 256
FILE_SEARCH_ENTRIES_MAX = 100_000
FILE_SEARCH_RESULTS_MAX = 1_000
FILE_SEARCH_SECONDS = 10.0
FILE_SEARCH_BYTES_MAX = 64 * MIB
FILE_SEARCH_FILE_MAX_BYTES = FILE_MAX_BYTES
FILE_SEARCH_FOUND_MAX_BYTES = 384 * KIB  # sent twice as well, and once more escaped
FILE_SEARCH_TEXT_MAX_CHARS = 256
FILE_SEARCH_LINES_MAX = 20
FILE_SEARCH_LINE_MAX_CHARS = 300

# The registry.
SERVERS_PER_TENANT_MAX = 200
SERVER_TEXT_MAX_CHARS = 4_000
SERVER_ARGS_MAX = 100
SERVER_ENV_MAX = 100
AUTH_TEXT_MAX_CHARS = 500
SERVERS_CACHED = 10_000
SERVER_CACHE_SECONDS = 5.0
TENANTS_REMEMBERED = 100_000
DISCOVER_AT_ONCE = 8
HEALTH_CHECK_SECONDS = 10.0
TOOLS_FRESH_SECONDS = 300.0

# Workflows as tools.
WORKFLOW_WAIT_SECONDS = 25.0  # a call waits so long for the end: below the 30 s or more that clients wait for an answer
WORKFLOW_RESULT_SECONDS_MAX = 300.0  # for whoever asks for a result
WORKFLOW_ANSWER_SECONDS = 0.5  # of a call's time are kept for its answer
WORKFLOW_BEGIN_SECONDS = 5.0  # who asks for a result waits so long for an execution that is not there
WORKFLOW_PROGRESS_SECONDS = 0.5  # between two looks at an execution whose caller wants to hear of progress
WORKFLOW_LOOK_SECONDS = 2.0  # the same for other callers: its end is told, so that this is for what was not heard
WORKFLOW_LOOK_SECONDS_MAX = 5.0  # looks become so rare
EXPOSED_CACHE_SECONDS = 5.0
EXPOSED_TENANTS_CACHED = 1_000
EXPOSED_BYTES_MAX = 8 * MIB  # of a tenant's tools; the one that passes it is still listed
EXPOSED_LOOK_SECONDS = 60.0  # between two comparisons with what the workflow service has
EXPOSED_RETRY_SECONDS = 2.0
EXPOSED_FACTS_IN_FLIGHT = 64
EXPOSED_FACT_RETRY_SECONDS = 1.0

# The MCP endpoint.
FOLLOW_SECONDS = 86_400.0
FOLLOW_RETRY_SECONDS = 5.0
FOLLOW_PAUSE_SECONDS = 1.0
OFFER_SECONDS = 10.0  # a server that needs longer to start is in the next list, and clients are told of it
OFFERS_FRESH_SECONDS = 5.0
OFFERS_CACHED = 5_000
PROFILES_KEPT = 500
OFFERED_PAGES_MAX = 20
LISTED_KEPT_MAX = 1_000
MCP_BODY_MAX_BYTES = 4 * MIB
MCP_CALL_SECONDS = 300.0  # clients have times of their own, and people are asked in the midst of calls
MCP_SESSIONS_MAX = 10_000
MCP_SESSIONS_PER_TENANT_MAX = 1_000
MCP_SESSION_IDLE_SECONDS = 3_600.0
MCP_SESSION_REAP_SECONDS = 30.0
MCP_STREAM_FRAMES_MAX = 1_000
MCP_STREAM_MAX_BYTES = 4 * MIB
MCP_STREAM_KEPT_SECONDS = 60.0
MCP_STREAMS_PER_SESSION_MAX = 64
MCP_PING_SECONDS = 15.0
MCP_ASK_SECONDS = 300.0
MCP_HELD_MAX = 1_000
MCP_HELD_PER_TENANT_MAX = 100
MCP_LISTENERS_PER_TENANT_MAX = 200
MCP_SUBSCRIPTIONS_MAX = 100
MCP_LIST_TTL_MS = 5_000
MCP_GONE_LOOK_SECONDS = 0.25

HELD_CONNECTIONS = 1  # of the database: the one that calls are recorded on
# Configs. A tenant's are read and kept together, so their bytes are bounded too.
CONFIGS_PER_TENANT_MAX = 500
CONFIG_MAX_BYTES = 16 * KIB
CONFIG_TOOLS_MAX = 200
CONFIG_RETRIES_MAX = 5
CONFIGS_CACHED = 5_000
CONFIG_CACHE_SECONDS = 5.0
DECISIONS_KEPT = 1_000  # of one policy: as many as a server has tools; names come from callers and do not end

# Rates. The burst bounds what a limit lets through at once after a rest.
RATE_PER_MINUTE_MAX = 1_000_000
RATE_BURST_MAX = 100
RATE_BUCKETS_MAX = 100_000

# Calls that are made again, and servers that are left alone. A timeout speaks against a server only if it had time.
RETRY_SECONDS = 0.1
RETRY_SECONDS_MAX = 5.0
BREAKER_CALLS_SEEN = 20
BREAKER_WINDOW_SECONDS = 30.0
BREAKER_FAILURES = 5
BREAKER_OPEN_SECONDS = 5.0
BREAKER_OPEN_SECONDS_MAX = 60.0
BREAKER_TIMEOUT_SECONDS = 1.0
LATENCIES_KEPT = 256  # of a server, for percentiles
HEALTH_SERVERS_MAX = 2_000
HEALTH_WAYS_MAX = 64  # of using one server, each with a breaker
HEALTH_CHANGES_WAITING_MAX = 1_000
HEALTH_CHECK_INTERVAL_SECONDS = 30.0
HEALTH_CHECKS_AT_ONCE = 8
ENTRY_SHOWN_MAX_CHARS = 300  # of what a deployment's list of commands lacks

# The catalogue of servers that can be installed, whose entries come from anywhere.
CATALOGUE_ENTRY_MAX_BYTES = 64 * KIB
CATALOGUE_ENTRIES_PER_TENANT_MAX = 500
CATALOGUE_WAYS_MAX = 20  # packages, and remotes, of one entry
CATALOGUE_INPUTS_MAX = 100  # in each list or map of one way
CATALOGUE_TEXT_MAX_CHARS = 2_000
CATALOGUE_NAME_MAX_CHARS = 200
CATALOGUE_TITLE_MAX_CHARS = 100
CATALOGUE_WORD_MAX_CHARS = 255
INSTALL_VALUES_MAX = 200
INSTALL_REPEATS_MAX = 50
NAMES_SHOWN_MAX = 20  # of what is asked for, to whoever gave something else

# Configuration files of MCP clients.
IMPORT_MAX_BYTES = 256 * KIB
IMPORT_SERVERS_MAX = 100
IMPORT_NAME_MAX_CHARS = 200
IMPORT_NOTES_MAX = 20  # of what is left out of one server
IMPORT_FAULTS_MAX = 50  # of one server
SECRET_NAME_MAX_CHARS = 63
CREDENTIAL_MIN_CHARS = 20  # in one run; what is shorter and says nothing by its name is taken for no credential

# Calls. Above the bounds on what waits to be recorded, calls are refused before they are made.
CALL_SECONDS_DEFAULT = 30.0
TASK_RESULT_MAX_BYTES = 1 * MIB  # of an output as JSON; the engine takes no larger one
TASK_ANSWER_SECONDS = 0.25  # a call ends so long before its task does, so that its own end is heard first
RECORDS_PENDING_MAX = 10_000
RECORDS_PENDING_BYTES_MAX = 64 * MIB
RECORD_RETRY_SECONDS = 1.0
RECORD_WAIT_SECONDS = 15.0  # an end waits so long to be on disk before its caller hears of it all the same
RECORD_READ_SECONDS = 15.0
RECORDS_GATHER_SECONDS = 0.005  # two batches of calls that are recorded afterwards begin so far apart, at least
RECORDS_DRAIN_SECONDS = 8.0
RECORDS_SETTLE_SECONDS = 2.0
INTERRUPTED_GRACE_SECONDS = 600.0
INTERRUPTED_LOOK_SECONDS = 600.0
INTERRUPTED_AT_ONCE = 500
OUTPUT_LISTED_MAX_BYTES = 64 * KIB
CALL_TEXT_MAX_CHARS = 4_000
CALL_DETAILS_MAX_BYTES = 16 * KIB

# Pinned definitions. A server that lists more than is pinned has the rest in quarantine, unrecorded.
PINNED_DEFINITION_MAX_BYTES = 512 * KIB
PINNED_LISTING_MAX_BYTES = 8 * MIB
PINS_PER_SERVER_MAX = 2 * TOOLS_MAX
PENDING_REWRITE_SECONDS = 10.0  # a server that describes a tool ever anew is recorded no oftener
RELEASE_CALM_SECONDS = 600.0  # a tool that changes to and fro oftener waits for a person
TRUST_SERVERS_CACHED = 2 * SESSIONS_MAX
OFFERED_CACHE_SECONDS = 5.0
DIFF_CHANGES_MAX = 100
DIFF_PLACES_MAX = 20_000
DIFF_PATH_MAX_CHARS = 300
DIFF_LINES_MAX = 200
DIFF_VALUE_MAX_CHARS = 4_000

# Screening. Of a result and of a definition so many characters are looked at, half of them at the end of a longer text.
SCREENED_MAX_CHARS = 64 * KIB
SCREENED_LOOKS_MAX = 400
FINDINGS_MAX = 20
FINDINGS_PER_RULE_MAX = 3
FINDING_EXCERPT_MAX_CHARS = 160
ENCODED_TEXT_MIN_CHARS = 80

# The bundled database server. What a caller waits for stays below 5 s; the statement's own time ends before the call's.
DATABASE_SQL_MAX_BYTES = 64 * KIB  # also what bounds the depth of the C parser's recursion
DATABASE_TREE_DEPTH_MAX = 400
DATABASE_PARSER_STACK_BYTES = 64 * MIB
DATABASE_NAME_MAX_CHARS = 256
DATABASE_PARAMETERS_MAX = 100
DATABASE_REPEAT_MAX = 10_000
DATABASE_ROWS_DEFAULT = 100
DATABASE_ROWS_MAX = 1_000
DATABASE_PAGE_ROWS_MAX = 256
DATABASE_RESULT_MAX_BYTES = 256 * KIB  # of rows or descriptions as JSON; sent twice, as structure and as text
DATABASE_RECEIVED_MAX_BYTES = 4 * MIB  # from the server for one call, before anything is decoded
DATABASE_TABLES_MAX = 500
DATABASE_COLUMNS_MAX = 5_000
DATABASE_CONNECTIONS_MAX = 4
DATABASE_CONNECT_SECONDS = 3.0
DATABASE_WAIT_SECONDS = 2.0
DATABASE_STATEMENT_SECONDS = 3.5
DATABASE_CALL_SECONDS = 4.0
DATABASE_RESET_SECONDS = 2.0
SQLITE_VALUE_MAX_BYTES = 1 * MIB
SQLITE_HEAP_MAX_BYTES = 256 * MIB
SQLITE_WORKER_DATA_BYTES = 512 * MIB
SQLITE_STEPS_BETWEEN_LOOKS = 10_000
