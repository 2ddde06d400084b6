"""What the tenant service reads from its environment."""

from typing import Annotated

import msgspec

from shared.settings import Settings


class TenantSettings(Settings, frozen=True, kw_only=True):
    """`AGENTIC_TENANT_*`."""

    tenant_master_key: str = ""
    """32 bytes in hexadecimal, from which the keys that wrap signing keys and the keys of secrets are derived, and
    those that digest API keys. After a comma those may follow that were in use before."""
    tenant_master_key_file: str = ""
    """In its place: a file with the same, one a line."""
    tenant_nats_issuer_seed: str = ""
    """Account seed (`SA…`) that signs the NATS users of tenants; without it tenants cannot connect to NATS."""
    tenant_nats_account: str = "APP"
    tenant_operator_key: str = ""
    """The operator's public nkey (`U…`), whose signature `commands.tenant.issue-token` needs; without it, refused."""
    tenant_secrets_readers: str = ""
    """Comma-separated public nkeys (`U…`) of the services that may ask for secrets; without it none gets any."""
    tenant_key_environment: Annotated[str, msgspec.Meta(pattern="^[a-z]{2,12}$")] = "dev"
    """The middle of `ap_<environment>_…`, so that a key of one deployment is not mistaken for another's."""
    tenant_demo: bool = False
    """Make the tenant `demo` at the start, if it does not exist."""
    tenant_demo_password: str = ""
    """Password of its `admin@demo.local`; a random one, kept in the data directory, if this is empty."""
