"""What the services stand on, embedded or external: a migrated Postgres, and NATS."""

import signal
from collections.abc import Sequence

from infra.local import accounts
from infra.local.cluster import locate
from infra.local.kept import Announce, Progress
from infra.local.keys import role_password
from infra.local.nats import Nats
from infra.local.nats_credentials import CALLOUT_ISSUER, SECRETS_READERS, Credentials
from infra.local.nats_permissions import OPERATOR
from infra.local.parts import Parts
from infra.local.paths import DataDir, socket_folder
from infra.local.ports import inner_port
from infra.local.postgres import ADMIN, Postgres
from infra.migrate import migrate
from infra.provision import dsn
from shared.settings import SERVICES

_LONGEST_SOCKET = ".s.PGSQL.65535.lock"


class Database:
    """A Postgres server: the one at `external` (an administrator's connection string), or one of our own."""

    def __init__(self, place: DataDir, key: bytes, external: str | None, announce: Announce) -> None:
        self._place = place
        self._key = key
        self._announce = announce
        self._socket: tuple[str, int] | None = None
        self.admin_dsn = external or ""

    async def start(self, parts: Parts, services: Sequence[str]) -> None:
        """Start it if it is ours, and migrate for the services."""
        if not self.admin_dsn:
            server = self._embedded()
            self._socket = (server.socket_host, server.port)
            self.admin_dsn = server.admin_dsn
            # SIGINT is Postgres's fast shutdown: it ends sessions instead of waiting for them.
            # SIGQUIT is its immediate one, which also takes its children along; the next start recovers.
            await parts.keep("postgres", server, stop_signal=signal.SIGINT, abort_signal=signal.SIGQUIT)
        if await migrate(self.admin_dsn, self._key, services):
            self._announce(Progress("postgres", "note", detail="migrated"))

    def login_dsn(self, login: str) -> str:
        return dsn.for_login(self.admin_dsn, self._key, login, socket=self._socket)

    def _embedded(self) -> Postgres:
        place = self._place
        cluster = locate(place.postgres, accounts.unprivileged())
        if cluster.moved_from(place.postgres):
            who = cluster.account.name if cluster.account else "Postgres"
            detail = f"{who} cannot reach {place.postgres}: its files are in {cluster.data.parent}"
            self._announce(Progress("postgres", "note", detail=detail))
        return Postgres(
            cluster,
            sockets=socket_folder(cluster.socket, _LONGEST_SOCKET, place.run / "postgres-sockets", cluster.account),
            port=inner_port(place.run / "postgres.port"),
            password=role_password(self._key, ADMIN),
            log=place.log("postgres"),
        )


class Bus:
    """A NATS server: the one at `external`, whose users are its operator's business, or one of our own."""

    def __init__(self, place: DataDir, external: str | None) -> None:
        self._place = place
        self._external = external
        self._credentials = Credentials(place.credentials / "nats")
        self.url = external or ""

    async def start(self, parts: Parts) -> None:
        """Start it if it is ours."""
        if self._external:
            return
        server = Nats(
            store=self._place.nats,
            config=self._place.run / "nats.conf",
            credentials=self._credentials,
            port=inner_port(self._place.run / "nats.port"),
            log=self._place.log("nats"),
        )
        self.url = server.url
        await parts.keep("nats", server)

    def seed(self, user: str) -> str | None:
        """Return the nkey seed of a service or of `operator`; None where the users are not ours."""
        known = not self._external and user in (*SERVICES, OPERATOR)
        return self._credentials.seed(user) if known else None

    @property
    def operator_key(self) -> str:
        """The operator's public nkey, whose signature services ask for; also where the server is another's."""
        return self._credentials.public(OPERATOR)

    def secrets_seed(self, service: str) -> str | None:
        """Return the seed that a service asks for secrets with, also where the server is another's; or None."""
        return self._credentials.secrets_seed(service) if service in SECRETS_READERS else None

    @property
    def secrets_readers(self) -> str:
        """The public keys of the services that may ask for secrets, separated by commas."""
        return self._credentials.secrets_readers()

    @property
    def issuer_seed(self) -> str | None:
        """The account key that signs the users that the authorisation callout lets in."""
        return None if self._external else self._credentials.seed(CALLOUT_ISSUER)
