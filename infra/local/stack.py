"""What a local platform consists of, wired from its options, and the order in which it starts."""

import asyncio
import signal
from pathlib import Path

from infra.local import service
from infra.local.backbone import Bus, Database
from infra.local.edge import Edge
from infra.local.forks import Zygote
from infra.local.kept import Announce, Progress
from infra.local.keys import master_key, secret_key
from infra.local.limits import FIRST_HTTP_PORT
from infra.local.options import Options, ServiceProgram
from infra.local.parts import Parts
from infra.local.paths import DataDir, socket_folder
from infra.local.ports import http_port
from infra.local.together import together
from infra.provision import dsn
from shared.settings import SERVICES

_SHARED = "workflow"  # the service whose processes share their work
_BELOW_SERVICES = frozenset({"postgres", "nats", "zygote"})


class Stack:
    """The parts of one platform. Making one chooses the ports and makes the secrets; `start` starts processes."""

    def __init__(self, options: Options, place: DataDir, announce: Announce) -> None:
        self._options = options
        self._place = place
        key = secret_key(place.secret_key)
        # All that these services are told of the secret: the logins' passwords do not follow from it.
        self._master_keys = {name: master_key(key, name).hex() for name in ("tenant", "workflow")}
        port = http_port(options.http_port)
        if options.http_port is None and port != FIRST_HTTP_PORT:
            announce(Progress("edge", "note", detail=f"port {FIRST_HTTP_PORT} is taken: using {port}"))
        self._workflow_processes = options.workflow_processes
        self._names = tuple(program.name for program in options.programs)
        every = {*SERVICES, *self._names}
        sockets = socket_folder(place.run, f"{max(every, key=len)}.sock", place.run / "service-sockets", None)
        self._sockets = {name: sockets / f"{name}.sock" for name in every}
        self.parts = Parts(place, announce)
        self.database = Database(place, key, options.postgres_dsn, announce)
        self.bus = Bus(place, options.nats_url)
        self.edge = Edge(port=port, sockets=self._sockets, state=place.edge, log=place.log("edge"))
        preload = [module for program in options.programs for module in program.preload]
        self._zygote = Zygote(preload, place.log("zygote"), Path.cwd())

    async def start(self) -> None:
        """Start what depends on nothing at once, then all services at once."""
        await together(
            self.parts.keep("zygote", self._zygote, stop_signal=signal.SIGKILL),
            self.database.start(self.parts, self._names),
            self.bus.start(self.parts),
            self.parts.keep("edge", self.edge),
        )
        await together(
            *(
                self.parts.keep(part, self._service(program, part))
                for program in self._options.programs
                for part in self._parts_of(program.name)
            )
        )

    async def add_workflow_process(self) -> str:
        """Start one more process of the workflow service and return the name of its part when it is ready."""
        program = next(program for program in self._options.programs if program.name == _SHARED)
        self._workflow_processes += 1
        part = _part(self._workflow_processes)
        await self.parts.keep(part, self._service(program, part))
        return part

    async def stop(self) -> None:
        """Let the edge and the services finish what they are at, then stop what they stand on.

        Cancelled, which is how somebody says that this takes too long, it ends them at once.
        """
        try:
            await self.parts.stop(but=_BELOW_SERVICES)
            await self._zygote.close()
            await self.parts.stop()
        except asyncio.CancelledError:
            await self.parts.abort()
            await self._zygote.close()
            raise

    def _parts_of(self, service_name: str) -> list[str]:
        if service_name != _SHARED:
            return [service_name]
        return [_part(number) for number in range(1, self._workflow_processes + 1)]

    def _service(self, program: ServiceProgram, part: str) -> service.Service:
        name = program.name
        socket = self._sockets[name].with_name(f"{part}.sock")
        own = {
            "AGENTIC_DATA_DIR": str(self._place.root),
            "AGENTIC_HTTP_SOCKET": str(socket),
            "AGENTIC_NATS_URL": self.bus.url,
            "AGENTIC_POSTGRES_DSN": self.database.login_dsn(dsn.serving(name)),
            "AGENTIC_POSTGRES_WORKER_DSN": self.database.login_dsn(dsn.working(name)),
        }
        if seed := self.bus.seed(name):
            own["AGENTIC_NATS_SEED"] = seed
        if name in self._master_keys:
            own[f"AGENTIC_{name.upper()}_MASTER_KEY"] = self._master_keys[name]
        if reader := self.bus.secrets_seed(name):
            own[f"AGENTIC_{name.upper()}_SECRETS_SEED"] = reader
        if name == "tenant":
            own["AGENTIC_TENANT_SECRETS_READERS"] = self.bus.secrets_readers
            own["AGENTIC_TENANT_DEMO"] = self._options.environment.get("AGENTIC_TENANT_DEMO", "1")
            own["AGENTIC_TENANT_OPERATOR_KEY"] = self.bus.operator_key
            if issuer := self.bus.issuer_seed:
                own["AGENTIC_TENANT_NATS_ISSUER_SEED"] = issuer
        variables = service.environment(self._options.environment, own, name=name, others=(*SERVICES, *self._names))
        return service.Service(
            program, self._zygote, name=part, socket=socket, variables=variables, log=self._place.log(part)
        )


def _part(number: int) -> str:
    """Return the name of a workflow process: the edge asks the first, which bears the service's own name."""
    return _SHARED if number == 1 else f"{_SHARED}-{number}"
