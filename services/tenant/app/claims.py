"""Making a thing once."""

import hmac

from services.tenant.app.ports import Claim, Registry
from shared.http.idempotency import KeyReused
from shared.scope import TenantScope


async def made_before(registry: Registry, scope: TenantScope, claim: Claim) -> bool:
    """Say whether this very request was answered before. Raises `KeyReused` if it was another one."""
    if claim.digest is None:
        return False
    first = await registry.claimed(scope, claim.id)
    if first is None:
        return False
    if not hmac.compare_digest(first, claim.digest):
        raise KeyReused("This Idempotency-Key was used before with another body.")
    return True
