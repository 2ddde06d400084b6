"""Where values of secrets come from, for those who use them."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID


class SecretSource(Protocol):
    """A tenant's secrets by name."""

    async def resolve(self, tenant_id: UUID, names: Sequence[str]) -> dict[str, str]:
        """Return the values of all these names.

        Raises `SecretNotFound`, `SecretsUnavailable`, and `Unavailable` where trying again may help.
        """
        ...
