"""Connection strings of the platform's logins, derived from the administrator's."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from infra.local.keys import role_password

DATABASE = "agentic"
MIGRATOR = "agentic_migrator"


def serving(service: str) -> str:
    """Return the login that answers requests of a service (row level security applies)."""
    return f"agentic_{service}"


def working(service: str) -> str:
    """Return the login of its consumers, relay and projections."""
    return f"agentic_{service}_worker"


def in_database(admin_dsn: str) -> str:
    """Return the administrator's connection string for the platform's database."""
    return urlunsplit(urlsplit(admin_dsn)._replace(path=f"/{DATABASE}"))


def for_login(admin_dsn: str, key: bytes, login: str, *, socket: tuple[str, int] | None = None) -> str:
    """Return a login's connection string: same server and options as the administrator's, or a unix socket.

    `socket` is the folder of the server's socket and its port number.
    """
    parts = urlsplit(admin_dsn)
    user = f"{quote(login)}:{role_password(key, login)}"
    if socket is not None:
        folder, port = socket
        return f"postgresql://{user}@/{DATABASE}?{urlencode({'host': folder, 'port': port}, safe='/')}"
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{place}", path=f"/{DATABASE}"))


def with_search_path(dsn: str, *schemas: str) -> str:
    """Return it as dbmate wants it: with `search_path`, and without TLS unless it says otherwise."""
    parts = urlsplit(dsn)
    query = {"sslmode": "disable", **dict(parse_qsl(parts.query)), "search_path": ",".join(schemas)}
    return urlunsplit(parts._replace(scheme="postgres", query=urlencode(query)))
