"""Who sent an HTTP request to the endpoint."""

from collections.abc import Mapping

import msgspec

from shared.scope import TenantScope


class Caller(msgspec.Struct, frozen=True):
    """A verified credential, the profile in the path, and the headers by lower-case name."""

    scope: TenantScope
    profile: str | None
    headers: Mapping[str, str]
