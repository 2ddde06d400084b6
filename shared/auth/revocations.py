"""Hears whose credential was revoked, so that what was verified before is not taken for longer than it is good."""

import asyncio
import logging
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from shared.auth.limits import REVOCATIONS_LOOK_S
from shared.auth.verifier import Verifier
from shared.limits import REQUEST_TIMEOUT_S

REVOCATIONS_SUBJECT = "queries.tenant.revocations"
# The tenant service's public events, and what those act as whom they are about.
_ACTORS = {"events.*.tenant.api-key.revoked": "key", "events.*.tenant.user.deleted": "user"}

_log = logging.getLogger(__name__)


class Revocations(msgspec.Struct):
    """Answer of `queries.tenant.revocations`: who was revoked lately, as `user:<id>` or `key:<id>`."""

    actors: list[str]


async def listen_to_revocations(client: Client, verifier: Verifier) -> None:
    """Have `verifier` refuse whoever is revoked, until cancelled.

    Events are heard without JetStream, as they are said. After each new connection, the first one too, the tenant
    service is asked what was missed; until it answers, it is asked again.
    """

    async def subscribe(subject: str, kind: str) -> None:
        async def on_event(message: Msg) -> None:
            try:
                verifier.revoke(f"{kind}:{UUID((message.headers or {}).get('ce-subject', ''))}")
            except ValueError:
                _log.warning("an event on %s does not say who was revoked", message.subject)

        await client.subscribe(subject, cb=on_event)

    for subject, kind in _ACTORS.items():
        await subscribe(subject, kind)
    caught_up = -1
    while True:
        connection = client.stats["reconnects"]
        if client.is_connected and connection != caught_up and await _catch_up(client, verifier):
            caught_up = connection
        await asyncio.sleep(REVOCATIONS_LOOK_S)


async def _catch_up(client: Client, verifier: Verifier) -> bool:
    try:
        answer = await client.request(REVOCATIONS_SUBJECT, b"", timeout=REQUEST_TIMEOUT_S)
        for actor in msgspec.json.decode(answer.data, type=Revocations).actors:
            verifier.revoke(actor)
    except (NatsError, TimeoutError, msgspec.MsgspecError) as error:
        _log.info("the tenant service does not yet say who was revoked: %r", error)
        return False
    return True
