"""The way back to an MCP client while one of its requests runs."""

from collections.abc import Awaitable, Callable
from typing import Any

from services.mcp_gateway.app.relay import Client
from services.mcp_gateway.domain.rpc import META_CAPABILITIES, META_CLIENT, META_LOG_LEVEL, META_VERSION
from services.mcp_gateway.entry.mcp.frames import Frames
from services.mcp_gateway.entry.mcp.wire import notice_of

Ask = Callable[[str, Any], Awaitable[Any]]

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_OURS = frozenset({META_VERSION, META_CAPABILITIES, META_CLIENT, "progressToken"})
_ANSWERS = ("inputResponses", "requestState")


class FrameRelay:
    """`Relay` onto the frames of an answer. `log_level`: the least that the client wants to hear of, None: nothing."""

    def __init__(
        self, client: Client, params: dict[str, Any], frames: Frames, ask: Ask, log_level: Callable[[], str | None]
    ) -> None:
        meta = params.get("_meta")
        self._meta: dict[str, Any] = meta if isinstance(meta, dict) else {}
        self.frames = frames
        self._ask = ask
        self._log_level = log_level
        self.client = client
        self.extra: dict[str, Any] = {name: params[name] for name in _ANSWERS if name in params}
        passed = {name: value for name, value in self._meta.items() if name not in _OURS}
        if client.era != "modern":
            passed.pop(META_LOG_LEVEL, None)
        self.extra["_meta"] = passed

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        token = self._meta.get("progressToken")
        if isinstance(token, str | int):
            said = {"progressToken": token, "progress": progress, "total": total, "message": message}
            shown = {name: value for name, value in said.items() if value is not None}
            self.frames.put(notice_of("notifications/progress", shown))

    def notify(self, method: str, params: Any) -> None:
        wanted = self._log_level()
        level = params.get("level") if isinstance(params, dict) else None
        if wanted in LEVELS and level in LEVELS and LEVELS.index(level) >= LEVELS.index(wanted):
            self.frames.put(notice_of(method, params))

    async def ask(self, method: str, params: Any) -> Any:
        return await self._ask(method, params)


def log_level_of(params: dict[str, Any]) -> str | None:
    """Return the level that a request of the modern era names."""
    meta = params.get("_meta")
    level = meta.get(META_LOG_LEVEL) if isinstance(meta, dict) else None
    return level if isinstance(level, str) else None
