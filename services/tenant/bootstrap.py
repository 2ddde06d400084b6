"""Wires the tenant service."""

import datetime as dt
import logging
from pathlib import Path

from services.tenant.adapters.demo_password import make_demo_password
from services.tenant.adapters.directory import PostgresDirectory
from services.tenant.adapters.master_keys import read_master_keys
from services.tenant.adapters.passwords import Argon2Passwords
from services.tenant.adapters.registry import PostgresRegistry
from services.tenant.adapters.secret_keys import HmacDigester, Wrapping, derive
from services.tenant.adapters.secrets import PostgresSecrets, rewrap_data_keys
from services.tenant.adapters.signing import PostgresSigner, token_expiry
from services.tenant.app.accounts import Accounts
from services.tenant.app.authority import LocalAuthority
from services.tenant.app.connections import Connections
from services.tenant.app.keys import ApiKeys, KeyVerification
from services.tenant.app.logins import Logins
from services.tenant.app.operator import OperatorTokens
from services.tenant.app.secrets import SecretReads, Secrets
from services.tenant.app.seeding import seed_demo
from services.tenant.config import TenantSettings
from services.tenant.domain.events import CATALOGUE
from services.tenant.entry.api import make_api
from services.tenant.entry.consumer import admit_connections, answer_queries, answer_secrets, issue_tokens
from services.tenant.entry.nats_callout import UserIssuer
from services.tenant.metrics import Metrics
from shared.auth.limits import REVOKED_MAX, REVOKED_S
from shared.auth.operator import OperatorKey
from shared.runtime import Runtime, open_runtime
from shared.secrets.questions import Readers

NAME = "tenant"
_READERS = "AGENTIC_TENANT_SECRETS_READERS"

_log = logging.getLogger(__name__)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def _open_secrets(rt: Runtime, master_keys: list[bytes]) -> PostgresSecrets:
    wrapping = Wrapping(*(derive(key, "data-keys") for key in master_keys))
    if wrapping.changing:
        _log.info("%d data keys were wrapped anew", await rewrap_data_keys(rt.worker_pool, wrapping))
    return PostgresSecrets(rt.tenants, wrapping, rt.waker.wake)


async def run(settings: TenantSettings) -> None:
    """Serve until SIGTERM."""
    master_keys = read_master_keys(settings.tenant_master_key, settings.tenant_master_key_file)
    digest = HmacDigester(*(derive(key, "api-keys") for key in master_keys))
    readers = Readers(settings.tenant_secrets_readers.split(",") if settings.tenant_secrets_readers else (), _READERS)
    async with open_runtime(NAME, settings) as rt:
        metrics = Metrics(rt.registry)
        directory = PostgresDirectory(rt.worker_pool)
        registry = PostgresRegistry(rt.tenants, rt.reader, rt.waker.wake)
        signer = await PostgresSigner.open(
            rt.worker_pool, Wrapping(*(derive(key, "signing-keys") for key in master_keys))
        )
        secret_store = await _open_secrets(rt, master_keys)
        passwords = await Argon2Passwords.open()
        authority = LocalAuthority(signer, KeyVerification(directory, digest, metrics))
        rt.use_authority(authority)
        accounts = Accounts(registry, passwords, _now, rt.verifier.revoke)
        logins = Logins(directory, passwords, signer, _now, metrics)
        answer_queries(rt.broker, authority, directory)
        for actor in await directory.revoked(REVOKED_S, REVOKED_MAX):
            rt.verifier.revoke(actor)
        operator = OperatorKey(settings.tenant_operator_key) if settings.tenant_operator_key else None
        issue_tokens(rt.broker, OperatorTokens(directory, logins, _now, operator))
        answer_secrets(rt.broker, SecretReads(secret_store, readers, _now, metrics))
        if settings.tenant_nats_issuer_seed:
            issuer = UserIssuer(settings.tenant_nats_issuer_seed, settings.tenant_nats_account)
            admit_connections(rt.broker, Connections(rt.verifier, accounts, token_expiry, _now, metrics), issuer)
        rt.relay(CATALOGUE.public_types)
        if settings.tenant_demo:
            password = settings.tenant_demo_password or make_demo_password(Path(settings.data_dir))
            await seed_demo(accounts, directory, password)
        app = make_api(
            rt,
            accounts=accounts,
            api_keys=ApiKeys(registry, digest, _now, rt.verifier.revoke, environment=settings.tenant_key_environment),
            secrets=Secrets(secret_store, registry, _now),
            logins=logins,
            signer=signer,
            request_digest=HmacDigester(derive(master_keys[0], "requests")),
        )
        await rt.serve(app)
