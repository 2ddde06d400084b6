"""`Objects` in a folder or in any store that speaks S3, by obstore."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.workflow.errors import ArchiveUnreadable
from services.workflow.limits import ARCHIVE_CONNECT_TIMEOUT_S, ARCHIVE_TIMEOUT_S
from shared.settings import SettingsInvalid

if TYPE_CHECKING:
    from obstore.store import ObjectStore


def open_store(url: str, folder: Path) -> "ObjectStore":
    """Return the store of `file:///…` or `s3://bucket/prefix`, and of `folder` if the URL is empty.

    S3's endpoint and credentials come from the AWS_* variables. Raises `SettingsInvalid`.
    """
    from obstore.store import LocalStore, S3Store

    parts = urlsplit(url)
    try:
        if not url or (parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")):
            return LocalStore(folder if not url else Path(parts.path), mkdir=True)
        if parts.scheme == "s3" and parts.netloc:
            connect, whole = (dt.timedelta(seconds=s) for s in (ARCHIVE_CONNECT_TIMEOUT_S, ARCHIVE_TIMEOUT_S))
            return S3Store.from_url(
                url,
                # Where AWS_ENDPOINT_URL says http, as on a machine's own network, it is meant.
                client_options={"allow_http": True, "connect_timeout": connect, "timeout": whole},
                retry_config={"max_retries": 3, "retry_timeout": whole},
            )
    except Exception as error:
        raise SettingsInvalid(f"AGENTIC_WORKFLOW_ARCHIVE_URL cannot be opened: {error}") from error
    raise SettingsInvalid("AGENTIC_WORKFLOW_ARCHIVE_URL must be file:///… or s3://bucket/prefix.")


class ObjectArchive:
    """Objects of one store."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store

    async def put(self, key: str, data: bytes) -> None:
        """Write an object: whole or not at all."""
        from obstore import put_async

        async with _reaching(key):
            await put_async(self._store, key, data)

    async def get(self, key: str) -> bytes:
        """Return an object."""
        from obstore import get_async

        async with _reaching(key):
            answer = await get_async(self._store, key)
            return bytes(await answer.bytes_async())

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on."""
        from obstore import get_range_async

        async with _reaching(key):
            return bytes(await get_range_async(self._store, key, start=start, length=length))

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        from obstore import delete_async

        async with _reaching(key):
            try:
                await delete_async(self._store, key)
            except FileNotFoundError:
                return


@asynccontextmanager
async def _reaching(key: str) -> AsyncIterator[None]:
    """Raise `ArchiveUnreadable` for whatever the store cannot do, in bounded time."""
    from obstore.exceptions import BaseError

    try:
        async with asyncio.timeout(2 * ARCHIVE_TIMEOUT_S):
            yield
    except FileNotFoundError as error:
        raise ArchiveUnreadable(f"The archive has lost the object {key}.") from error
    except (BaseError, OSError, ValueError) as error:  # TimeoutError is an OSError
        reason = f"The archive does not give or take the object {key}: {type(error).__name__}."
        raise ArchiveUnreadable(reason, retry_after=5) from error
