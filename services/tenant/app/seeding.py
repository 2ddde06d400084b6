"""The demo tenant: the platform's own on a laptop, made once."""

from services.tenant.app.accounts import Accounts, NewTenant
from services.tenant.app.ports import Claim, Directory
from shared.errors import Conflict
from shared.ids import derived_id

DEMO_SLUG = "demo"
DEMO_EMAIL = "admin@demo.local"


async def seed_demo(accounts: Accounts, directory: Directory, password: str) -> bool:
    """Create the demo tenant and its owner; say whether that was to be done. Replicas may do so at the same time."""
    if await directory.active_tenant(DEMO_SLUG) is not None:
        return False
    demo = NewTenant(DEMO_SLUG, "Demo", "enterprise", DEMO_EMAIL, password)
    try:
        await accounts.create_tenant(
            None, demo, Claim(derived_id("tenant", DEMO_SLUG)), owner_id=derived_id("user", DEMO_SLUG, DEMO_EMAIL)
        )
    except Conflict:  # another replica made it, or it is there and not active
        return False
    return True
