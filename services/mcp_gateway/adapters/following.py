"""Standing subscriptions at servers, one for each server, however many clients listen."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from services.mcp_gateway.adapters.mcp.place import SessionKey
from services.mcp_gateway.adapters.mcp.pool import PooledSession
from services.mcp_gateway.domain.rpc import RpcFailed
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import FOLLOW_RETRY_SECONDS
from shared.errors import PlatformError

_log = logging.getLogger(__name__)

SessionOf = Callable[[Server], Awaitable[PooledSession]]


class _Followed:
    """A server that is followed, and what each of its followers wants to hear of."""

    def __init__(self) -> None:
        self.wanted: dict[object, frozenset[str]] = {}
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def uris(self) -> frozenset[str]:
        return frozenset().union(*self.wanted.values())

    def want(self, token: object, uris: frozenset[str] | None) -> None:
        """Change what one follower wants; None: it is gone."""
        before = self.uris()
        if uris is None:
            self.wanted.pop(token, None)
        else:
            self.wanted[token] = uris
        if self.uris() != before:
            self.changed.set()


class Following:
    """Follows servers for as long as somebody listens."""

    def __init__(self, session_of: SessionOf) -> None:
        self._session_of = session_of
        self._followed: dict[SessionKey, _Followed] = {}

    async def follow(self, wanted: Sequence[tuple[SessionKey, Server, frozenset[str]]]) -> None:
        """Follow servers until cancelled."""
        token = object()
        try:
            for key, server, uris in wanted:
                followed = self._followed.setdefault(key, _Followed())
                followed.want(token, uris)
                if followed.task is None:
                    followed.task = asyncio.create_task(self._keep(server, followed))
            await asyncio.Event().wait()
        finally:
            for key, _, _ in wanted:
                self._unfollow(key, token)

    def forget(self, key: SessionKey) -> None:
        """Follow this session no more: its server is another now. Who still wants to hear of it asks anew."""
        followed = self._followed.pop(key, None)
        if followed is not None and followed.task is not None:
            followed.task.cancel()

    @property
    def followed(self) -> list[SessionKey]:
        """What is followed now."""
        return list(self._followed)

    def _unfollow(self, key: SessionKey, token: object) -> None:
        followed = self._followed.get(key)
        if followed is None:
            return
        followed.want(token, None)
        if not followed.wanted:
            del self._followed[key]
            if followed.task is not None:
                followed.task.cancel()

    async def _keep(self, server: Server, followed: _Followed) -> None:
        while True:
            followed.changed.clear()
            following = asyncio.create_task(self._follow_once(server, followed.uris()))
            changed = asyncio.create_task(followed.changed.wait())
            try:
                await asyncio.wait({following, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                following.cancel()
                changed.cancel()
            if following.done():  # by itself: the server ended it, or has nothing to tell
                await asyncio.sleep(FOLLOW_RETRY_SECONDS)

    async def _follow_once(self, server: Server, uris: frozenset[str]) -> None:
        try:
            session = await self._session_of(server)
            await session.follow(uris)
        except (PlatformError, RpcFailed, TimeoutError) as error:
            _log.info("%s does not tell of changes: %s", server.definition.slug, type(error).__name__)
