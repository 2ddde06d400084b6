"""Bounds of the tenant service; those of all services stand in `shared.limits`."""

OPERATOR_TOKEN_S = 24 * 3600
NATS_SESSION_OF_KEY_S = 15 * 60  # a connection made with an API key must show it again after this
API_KEY_SECRET_BYTES = 32
API_KEY_SCOPES_MAX = 32
API_KEY_LIFE_MAX_DAYS = 3660  # of a key that expires; a time near the end of the calendar cannot be kept
API_KEY_NAME_MAX = 100
KEY_SHOWN_CHARACTERS = 6
KEY_USE_RESOLUTION_S = 60  # the time of last use is kept no finer, so that a hot key costs no write a request
SCOPE_MAX = 64
SLUG_MAX = 63
NAME_MAX = 200
EMAIL_MAX = 254  # octets. RFC 5321 §4.5.3.1.3: a path has at most 256, two of them its brackets
PASSWORD_MIN = 8
PASSWORD_MAX = 256
PASSWORD_CHECKS_AT_ONCE = 2  # each takes 64 MiB and tens of milliseconds of a core
PASSWORD_CHECKS_WAITING = 64  # more are refused at once
DEMO_PASSWORD_BYTES = 18
MASTER_KEYS_MAX = 4  # the one in use, and those that were
DATA_KEYS_PAGE = 500  # wrapped anew at once
SECRETS_PER_TENANT_MAX = 500
SECRET_DESCRIPTION_MAX = 500
