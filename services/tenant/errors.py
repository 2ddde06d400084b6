"""What the tenant service refuses beside what every service does."""

from shared.errors import Conflict, Unprocessable


class AlreadyShown(Conflict):
    """This `Idempotency-Key` made an API key, whose secret is shown only once."""

    code = "already_shown"


class KeyReused(Unprocessable):
    """This `Idempotency-Key` made something else."""

    code = "idempotency_key_reused"


STATUSES: dict[str, int] = {AlreadyShown.code: 409}
