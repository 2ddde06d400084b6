"""Who wants to hear what changed: lists of tools, prompts and resources, and single resources."""

from collections.abc import Callable
from typing import Literal
from uuid import UUID

import msgspec

Kind = Literal["tools", "prompts", "resources"]


class Change(msgspec.Struct, frozen=True):
    """A list that is another one now, or with `uri` one resource of it."""

    kind: Kind
    uri: str | None = None


Listener = Callable[[Change], None]
"""Must neither wait nor raise."""


class Changes:
    """Passes a tenant's changes on to the tenant's listeners in this process."""

    def __init__(self) -> None:
        self._listeners: dict[UUID, set[Listener]] = {}
        self._upkeep: dict[UUID, list[Callable[[], None]]] = {}
        self._first: list[Callable[[UUID, Change], None]] = []

    def listen_to_all(self, listener: Callable[[UUID, Change], None]) -> None:
        """Call a listener with every tenant's changes, before all others: what is kept of the old has to go."""
        self._first.append(listener)

    def count(self, tenant_id: UUID) -> int:
        """How many listen for this tenant."""
        return len(self._listeners.get(tenant_id, ()))

    def listen(self, tenant_id: UUID, listener: Listener) -> Callable[[], None]:
        """Call the listener with each change until the function that is returned is called."""
        self._listeners.setdefault(tenant_id, set()).add(listener)

        def stop() -> None:
            listeners = self._listeners.get(tenant_id, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(tenant_id, None)

        return stop

    def listen_for_upkeep(self, tenant_id: UUID, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener when any list changed, without counting it among those who listen for a client."""
        listeners = self._upkeep.setdefault(tenant_id, [])
        listeners.append(listener)

        def stop() -> None:
            listeners.remove(listener)
            if not listeners and self._upkeep.get(tenant_id) is listeners:
                del self._upkeep[tenant_id]

        return stop

    def tell(self, tenant_id: UUID, *changes: Change) -> None:
        """Something changed."""
        for first in self._first:
            for change in changes:
                first(tenant_id, change)
        if any(change.uri is None for change in changes):
            for keeper in list(self._upkeep.get(tenant_id, ())):
                keeper()
        for listener in list(self._listeners.get(tenant_id, ())):
            for change in changes:
                listener(change)
