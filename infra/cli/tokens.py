"""Tokens for whoever holds the operator's key of a platform: asked for over NATS, never over HTTP."""

import os
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client

from infra.cli.errors import ApiRefused, Unreachable, reason
from infra.cli.limits import CONNECT_TIMEOUT, TOKEN_TIMEOUT
from infra.local.nats_credentials import Credentials
from infra.local.nats_permissions import OPERATOR
from infra.local.options import Options
from infra.local.paths import DataDir
from shared.auth.operator import ISSUE_TOKEN_SUBJECT, sign_issue_token
from shared.bus.inboxes import inbox_prefix


class IssuedToken(msgspec.Struct):
    """A bearer token and how many seconds it is good for."""

    access_token: str
    expires_in: int | None = None


class _Refusal(msgspec.Struct):
    code: str
    message: str


class _Answer(msgspec.Struct):
    access_token: str | None = None
    expires_in: int | None = None
    error: _Refusal | None = None


async def connect_operator(nats_url: str, seed: str | None) -> Client:
    """Connect as the operator; without a seed, as whoever the URL says."""
    return await connect(nats_url, nkeys_seed_str=seed, inbox_prefix=inbox_prefix(OPERATOR))


async def connect(nats_url: str, **options: Any) -> Client:
    """Connect once, without retrying; `Unreachable` says why not."""

    async def quiet(_: Exception) -> None:
        """The error reaches the caller as an exception; the client's default prints a traceback as well."""

    client = Client()
    try:
        await client.connect(
            nats_url, allow_reconnect=False, connect_timeout=int(CONNECT_TIMEOUT), error_cb=quiet, **options
        )
    except (OSError, TimeoutError, ValueError, AssertionError, nats.errors.Error) as error:
        await client.close()
        raise Unreachable(f"NATS at {shown(nats_url)} does not let us in: {reason(error)}.") from error
    return client


def shown(nats_url: str) -> str:
    """Return a URL without its credentials."""
    scheme, separator, rest = nats_url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


async def issue_token(nats_url: str, seed: str | None, tenant: str) -> IssuedToken:
    """Ask for a token of the admin of the tenant with this slug, signed with the operator's key.

    `seed` is also what NATS is shown. An external server has users of its own: then the request alone is signed, with
    the key in the data directory.
    """
    client = await connect_operator(nats_url, seed)
    try:
        request = msgspec.json.encode(sign_issue_token(seed or _kept_seed(), tenant))
        reply = await client.request(ISSUE_TOKEN_SUBJECT, request, timeout=TOKEN_TIMEOUT)
    except (TimeoutError, nats.errors.Error) as error:
        raise Unreachable(
            f"The tenant service does not answer ({reason(error)}). Look at logs/tenant.log in the "
            "data directory, or run `agentic doctor`."
        ) from error
    finally:
        await client.close()
    answer = msgspec.json.decode(reply.data, type=_Answer)
    if answer.access_token is None:
        refusal = answer.error or _Refusal("not_found", f"There is no token for the tenant {tenant!r}.")
        raise ApiRefused(404, refusal.code, refusal.message, [], {})
    return IssuedToken(answer.access_token, answer.expires_in)


def _kept_seed() -> str:
    folder = Options.from_environment(os.environ).data_dir
    return Credentials(DataDir(folder).credentials / "nats").seed(OPERATOR)
