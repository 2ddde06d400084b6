"""When a call is made again by the gateway."""

from services.mcp_gateway.limits import RETRY_SECONDS, RETRY_SECONDS_MAX


def pause(attempts: int, asked: float | None, chance: float) -> float:
    """Return the seconds to wait after so many attempts.

    They double, and `chance` (0 to 1) takes up to half of them away so that callers do not come in step. What the
    failure itself asked for is kept to.
    """
    longest = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2.0 ** min(attempts - 1, 32))
    return max(asked or 0.0, longest * (1.0 - chance / 2.0))
