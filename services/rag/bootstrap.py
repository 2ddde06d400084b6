"""Wires the RAG service."""

from services.rag.config import RagSettings
from services.rag.entry.api import make_api
from shared.runtime import open_runtime

NAME = "rag"


async def run(settings: RagSettings) -> None:
    """Serve until SIGTERM."""
    async with open_runtime(NAME, settings) as rt:
        await rt.serve(make_api(rt))
