"""What the tenant service refuses beside what every service does."""

from shared.errors import Conflict


class AlreadyShown(Conflict):
    """This `Idempotency-Key` made an API key, whose secret is shown only once."""

    code = "already_shown"


STATUSES: dict[str, int] = {AlreadyShown.code: 409}
