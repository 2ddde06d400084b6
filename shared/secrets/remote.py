"""The tenant service's secrets, asked for over NATS and remembered for seconds."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
import nkeys
from faststream.nats import NatsBroker, NatsMessage
from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.bus.broker import whole_message
from shared.bus.cloudevents import tenant_of
from shared.errors import InvalidInput, Unavailable
from shared.limits import REQUEST_TIMEOUT_S, SECRET_CACHE_S, SECRET_CACHE_SIZE, SECRET_NAMES_ASKED_MAX
from shared.secrets.errors import SecretNotFound, SecretsUnavailable
from shared.secrets.questions import RESOLVE_SUBJECT, Answer, Asker

CHANGES_SUBJECT = "events.*.tenant.secret.*"

_Wanted = tuple[UUID, tuple[str, ...], int]


class RemoteSecrets:
    """`SecretSource` over NATS. Values are kept in memory for `SECRET_CACHE_S` and dropped when one is changed.

    `signer` is None where the deployment gave this service no key to ask with: then every question is refused here.
    `seen` is told each name and value before anybody else is.
    """

    def __init__(
        self,
        client: Callable[[], Client],
        signer: nkeys.KeyPair | None,
        setting: str,
        seen: Callable[[str, str], None] = lambda _name, _value: None,
    ) -> None:
        self._client = client
        self._signer = signer
        self._setting = setting
        self._seen = seen
        self._known: OrderedDict[tuple[UUID, str], tuple[float, str]] = OrderedDict()
        self._changes = 0
        self._asking: dict[_Wanted, asyncio.Task[dict[str, str]]] = {}

    def hear_changes(self, broker: NatsBroker) -> None:
        """Forget a tenant's values when the tenant service says that one was set or deleted."""

        async def on_change(message: NatsMessage) -> None:
            self.forget(tenant_of(message.raw_message.subject))

        broker.subscriber(CHANGES_SUBJECT, decoder=whole_message, no_reply=True)(on_change)

    def forget(self, tenant_id: UUID) -> None:
        """Ask anew for everything of this tenant; an answer that is on its way is used and not kept."""
        self._changes += 1
        for key in [key for key in self._known if key[0] == tenant_id]:
            del self._known[key]

    async def resolve(self, tenant_id: UUID, names: Sequence[str]) -> dict[str, str]:
        """Return the values of all these names. Raises `SecretNotFound`, `SecretsUnavailable` and `Unavailable`."""
        now = time.monotonic()
        values: dict[str, str] = {}
        missing: list[str] = []
        for name in names:
            kept = self._known.get((tenant_id, name))
            if kept is not None and kept[0] > now:
                values[name] = kept[1]
            else:
                missing.append(name)
        if missing:
            values |= await self._asked(tenant_id, missing)
        return values

    async def _asked(self, tenant_id: UUID, names: list[str]) -> dict[str, str]:
        """Ask once for all who want the same now; not for those who want it after a change that came meanwhile."""
        question = tenant_id, tuple(names), self._changes
        asking = self._asking.get(question)
        if asking is None:
            asking = self._asking[question] = asyncio.create_task(self._fetched(tenant_id, names))
            asking.add_done_callback(lambda done: self._answered(question, done))
        return await asyncio.shield(asking)

    def _answered(self, question: _Wanted, done: "asyncio.Task[dict[str, str]]") -> None:
        del self._asking[question]
        if not done.cancelled():
            done.exception()  # seen, although everybody who asked may have gone

    async def _fetched(self, tenant_id: UUID, names: list[str]) -> dict[str, str]:
        if self._signer is None:
            raise SecretsUnavailable(f"This service cannot ask for secrets: {self._setting} is not set.")
        if len(names) > SECRET_NAMES_ASKED_MAX:
            raise SecretsUnavailable(f"At most {SECRET_NAMES_ASKED_MAX} secrets are filled in at once.")
        changes = self._changes
        answer = await self._ask(Asker(self._signer, tenant_id, names))
        values: dict[str, str] = {}
        for name in names:
            if name not in answer:
                raise SecretNotFound(name)
            values[name] = answer[name]
            self._seen(name, values[name])
        if changes == self._changes:
            until = time.monotonic() + SECRET_CACHE_S
            for name, value in values.items():
                self._known.pop((tenant_id, name), None)
                self._known[tenant_id, name] = (until, value)
            while len(self._known) > SECRET_CACHE_SIZE:
                self._known.popitem(last=False)
        return values

    async def _ask(self, asker: Asker) -> dict[str, str]:
        body = msgspec.json.encode(asker.question)
        try:
            reply = await self._client().request(RESOLVE_SUBJECT, body, timeout=REQUEST_TIMEOUT_S)
            answer = msgspec.json.decode(reply.data, type=Answer)
            if answer.error is None:
                return asker.open(answer.sealed)
        except (NatsError, TimeoutError, msgspec.MsgspecError, InvalidInput) as error:
            raise Unavailable("The tenant service does not give secrets now: try again.", retry_after=1) from error
        if answer.error.code == Unavailable.code:
            raise Unavailable(answer.error.message, retry_after=1)
        raise SecretsUnavailable(f"The tenant service does not give this service secrets: {answer.error.message}")
