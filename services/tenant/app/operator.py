"""Tokens for the operator, who proves to be that by a signature."""

from services.tenant.app.logins import AccessToken, Logins
from services.tenant.app.ports import Clock, Directory
from shared.auth.operator import IssueToken, OperatorKey
from shared.errors import Forbidden, NotFound, Unauthenticated


class OperatorTokens:
    """Issues tokens of any tenant; without the operator's public key, none."""

    def __init__(self, directory: Directory, logins: Logins, clock: Clock, key: OperatorKey | None) -> None:
        self._directory = directory
        self._logins = logins
        self._clock = clock
        self._key = key

    async def issue(self, command: IssueToken) -> AccessToken:
        """Return a token with an owner's scopes. Each command is good once: whoever overheard it gains nothing by it.

        Raises `Forbidden` where no operator is known, `Unauthenticated` for a bad proof, `NotFound`.
        """
        if self._key is None:
            raise Forbidden("The tenant service knows no operator: AGENTIC_TENANT_OPERATOR_KEY is not set.")
        self._key.check(command, self._clock().timestamp())
        tenant_id = await self._directory.active_tenant(command.tenant)
        if tenant_id is None:
            raise NotFound("There is no such active tenant.")
        if not await self._directory.first_use(command.nonce):
            raise Unauthenticated("This command was answered before: sign another.")
        return await self._logins.for_operator(tenant_id)
