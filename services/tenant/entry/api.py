"""The tenant service's HTTP API."""

from litestar import Litestar

from services.tenant.app.accounts import Accounts
from services.tenant.app.keys import ApiKeys
from services.tenant.app.logins import Logins
from services.tenant.app.ports import SecretDigester, TokenSigner
from services.tenant.app.secrets import Secrets
from services.tenant.entry.accounts_api import ACCOUNTS
from services.tenant.entry.auth_api import jwks, login, me
from services.tenant.entry.keys_api import KEYS
from services.tenant.entry.secrets_api import SECRETS
from services.tenant.errors import STATUSES
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.runtime import Runtime


def make_api(
    rt: Runtime,
    *,
    accounts: Accounts,
    api_keys: ApiKeys,
    secrets: Secrets,
    logins: Logins,
    signer: TokenSigner,
    request_digest: SecretDigester,
) -> Litestar:
    """Return the application."""
    register_statuses(STATUSES)
    return make_app(
        rt.service,
        "Tenants",
        [login, me, jwks, *ACCOUNTS, *KEYS, *SECRETS],
        verifier=rt.verifier,
        registry=rt.registry,
        readiness=rt.readiness,
        state={
            "accounts": accounts,
            "api_keys": api_keys,
            "secrets": secrets,
            "logins": logins,
            "signer": signer,
            "request_digest": request_digest,
        },
    )
