"""Wires the tenant service."""

import datetime as dt
from pathlib import Path

from services.tenant.adapters.demo_password import make_demo_password
from services.tenant.adapters.directory import PostgresDirectory
from services.tenant.adapters.passwords import Argon2Passwords
from services.tenant.adapters.registry import PostgresRegistry
from services.tenant.adapters.secret_keys import HmacDigester, Wrapping, derive
from services.tenant.adapters.signing import PostgresSigner, token_expiry
from services.tenant.app.accounts import Accounts
from services.tenant.app.authority import LocalAuthority
from services.tenant.app.connections import Connections
from services.tenant.app.keys import ApiKeys, KeyVerification
from services.tenant.app.logins import Logins
from services.tenant.app.operator import OperatorTokens
from services.tenant.app.seeding import seed_demo
from services.tenant.config import TenantSettings
from services.tenant.domain.events import CATALOGUE
from services.tenant.entry.api import make_api
from services.tenant.entry.consumer import admit_connections, answer_queries, issue_tokens
from services.tenant.entry.nats_callout import UserIssuer
from services.tenant.metrics import Metrics
from shared.auth.limits import REVOKED_MAX, REVOKED_S
from shared.auth.operator import OperatorKey
from shared.runtime import open_runtime

NAME = "tenant"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def run(settings: TenantSettings) -> None:
    """Serve until SIGTERM."""
    master_key = bytes.fromhex(settings.tenant_master_key)
    digest = HmacDigester(derive(master_key, "api-keys"))
    async with open_runtime(NAME, settings) as rt:
        metrics = Metrics(rt.registry)
        directory = PostgresDirectory(rt.worker_pool)
        registry = PostgresRegistry(rt.tenants, rt.reader, rt.waker.wake)
        signer = await PostgresSigner.open(rt.worker_pool, Wrapping(derive(master_key, "signing-keys")))
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
            logins=logins,
            signer=signer,
            request_digest=HmacDigester(derive(master_key, "requests")),
        )
        await rt.serve(app)
