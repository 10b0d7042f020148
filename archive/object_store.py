"""Where archives are: a folder (`file:///srv/archive`), or an S3-compatible store (`s3://bucket/prefix`).

Implements `reading.Objects` with object_store (obstore). Credentials and endpoint of an S3 store come from the usual
`AWS_*` variables. Not done here: what the objects mean.
"""

import asyncio
import os
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from archive.reading import ArchiveUnavailable

# The overloads of `list` that return Arrow batches have no types here.
_obstore: Any = obstore


class ObjectStore:
    """One folder or bucket prefix."""

    def __init__(self, url: str) -> None:
        """Raises ArchiveUnavailable when `url` names no store that can be used."""
        # A folder that is not there yet is made; the option is unknown to other stores.
        options: dict[str, Any] = {"mkdir": True} if url.startswith("file:") else {}
        try:
            self._store = from_url(url, **options)
        except (BaseError, ValueError, OSError) as error:  # stop: the operator has to name another one
            raise ArchiveUnavailable(f"{_without_query(url)} cannot be used: {_first_line(error)}") from None
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None

    async def put(self, name: str, data: bytes) -> None:
        """See `reading.Objects.put`."""
        try:
            await obstore.put_async(self._store, name, data)
            if self._folder is not None:
                await asyncio.to_thread(_sync, self._folder, name)
        except (BaseError, OSError) as error:  # retry, by the caller: the same bytes go to the same name
            raise ArchiveUnavailable(f"{name} was not stored: {_first_line(error)}") from error

    async def get(self, name: str, limit: int) -> bytes | None:
        """See `reading.Objects.get`."""
        try:
            found = await obstore.get_async(self._store, name)
            if found.meta["size"] > limit:
                return b""
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:  # retry, by the caller: reading changes nothing
            raise ArchiveUnavailable(f"{name} cannot be read: {_first_line(error)}") from error

    async def names(self, prefix: str) -> list[str]:
        """See `reading.Objects.names`."""
        try:
            pages = cast("AsyncIterable[list[dict[str, Any]]]", _obstore.list(self._store, prefix))
            return [str(each["path"]) async for page in pages for each in page]
        except FileNotFoundError:
            return []
        except (BaseError, OSError) as error:  # retry, by the caller: reading changes nothing
            raise ArchiveUnavailable(f"{prefix} cannot be listed: {_first_line(error)}") from error


def _sync(folder: Path, name: str) -> None:
    """Return when the disk has the file, which a store in a folder only gives to the system; raises OSError.

    What is said to be archived is taken from elsewhere, and a loss of power must not find it empty here.
    """
    path = folder / name
    for each in (path, *path.parents[: len(Path(name).parts)]):
        opened = os.open(each, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _first_line(error: Exception) -> str:
    """Return what happened without the library's notes for its own developers."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _without_query(url: str) -> str:
    return url.split("?", 1)[0]
