"""What the tenant service reads from its environment."""

from typing import Annotated

import msgspec

from shared.settings import Settings


class TenantSettings(Settings, frozen=True, kw_only=True):
    """`AGENTIC_TENANT_*`."""

    tenant_master_key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    """32 bytes in hexadecimal, from which the keys that wrap signing keys and digest API keys are derived."""
    tenant_nats_issuer_seed: str = ""
    """Account seed (`SA…`) that signs the NATS users of tenants; without it tenants cannot connect to NATS."""
    tenant_nats_account: str = "APP"
    tenant_operator_key: str = ""
    """The operator's public nkey (`U…`), whose signature `commands.tenant.issue-token` needs; without it, refused."""
    tenant_key_environment: Annotated[str, msgspec.Meta(pattern="^[a-z]{2,12}$")] = "dev"
    """The middle of `ap_<environment>_…`, so that a key of one deployment is not mistaken for another's."""
    tenant_demo: bool = False
    """Make the tenant `demo` at the start, if it does not exist."""
    tenant_demo_password: str = ""
    """Password of its `admin@demo.local`; a random one, kept in the data directory, if this is empty."""
