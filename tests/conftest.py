"""What every test may ask for. Real servers are started once a session, on ports and in folders of their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.backbone import Backbone, reachable_folder, remove, serve_backbone

__all__ = ["Backbone", "reachable_folder", "remove"]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = reachable_folder()
    yield folder / "data"
    remove(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backbone() -> AsyncIterator[Backbone]:
    async with serve_backbone() as served:
        yield served
