"""What became of a message. A consumer says so; only `shared.bus.durable` acks, naks or dead-letters."""

from typing import TypeAlias

import msgspec


class Done(msgspec.Struct, frozen=True):
    """Its effects are durable, or were before."""


class Retry(msgspec.Struct, frozen=True):
    """It cannot be done now. Deliver it again after so many seconds."""

    after: float
    why: str


class Poison(msgspec.Struct, frozen=True):
    """It can never be done. Keep it where people look, and go on."""

    why: str


Outcome: TypeAlias = Done | Retry | Poison
