"""Wires the agent service."""

from services.agent.config import AgentSettings
from services.agent.entry.api import make_api
from shared.runtime import open_runtime

NAME = "agent"


async def run(settings: AgentSettings) -> None:
    """Serve until SIGTERM."""
    async with open_runtime(NAME, settings) as rt:
        await rt.serve(make_api(rt))
