"""Which uploads are pinned, for ever and for every worker: one `upload.pinned` fact for each distinct file.

Used by `content` and `handlers`. The fact is told before the bytes are deleted, so whoever misses the bytes finds what
they are called: a later mint of the same image needs neither the bytes nor another pin.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from chassis import telemetry
from chassis.clock import Clock
from chassis.log import EventLog, SequenceConflict, UploadStore
from chassis.vanished import vanished
from contracts.content import Restored, Vanished
from contracts.fact import Event, Fact
from contracts.streams import CONTENT, UPLOADS
from contracts.upload import UploadPinned, upload_fence
from services.ipfs.sessions import Session

MAX_CONFLICTS: Final = 4
"""Refused publishes before the next delivery is left to tell it."""

RENEWED_AFTER_SECONDS: Final = UPLOADS.ttl / 2 - 86_400
"""An upload that a request names is kept for half of its time to live at least: a day before, it is looked after."""

RENEWAL_SECONDS: Final = 21_600.0
"""Between two looks; one puts anew what is in the second half of its time to live."""

FROM_UPLOAD: Final = "upload"
"""Where content was had again when somebody sent it once more; see `Restored.source`."""

_log = telemetry.get_logger(__name__)


class PinnedUploads:
    """The `upload.pinned` facts, and the bytes in the object store that they make unnecessary."""

    def __init__(self, log: EventLog, store: UploadStore) -> None:
        self._log = log
        self._store = store

    async def find(self, sha256: str) -> UploadPinned | None:
        """Return what is known of a file; raises LogUnavailable."""
        found = await self._log.last(UploadPinned, sha256=sha256)
        return None if found is None else found.data

    async def lost(self, told: UploadPinned) -> Vanished | None:
        """Return what an audit said when it missed a pinned file, if nothing was said since. Raises LogUnavailable."""
        return await vanished(self._log, told.cid)

    async def restored(self, lost: Vanished) -> None:
        """Say that lost content is pinned again; the next audit looks with each service. Raises LogUnavailable."""
        fact = Restored(cid=lost.cid, audit=lost.audit, providers=lost.providers, source=FROM_UPLOAD)
        await self._log.publish(fact, cause=None)
        _log.info(fact.type(), cid=lost.cid, source=FROM_UPLOAD)

    async def tell(self, pinned: UploadPinned, cause: Event[Fact] | None = None, *, keep: bool = False) -> None:
        """Say that a file is pinned, unless it was said, then delete its bytes unless told to keep them.

        Raises LogUnavailable.
        """
        fence = upload_fence(pinned.sha256)
        for _ in range(MAX_CONFLICTS):
            newest = await self._log.last_matching(CONTENT, fence)
            if newest is not None and isinstance(newest.data, UploadPinned):
                break
            sequence = 0 if newest is None else newest.sequence
            try:
                await self._log.publish(pinned, cause=cause, expected_sequence=sequence, fence=fence)
                break
            except SequenceConflict:  # go on: read what the other said
                continue
        else:
            # Nothing is lost: the bytes stay, and whoever needs them next tells it.
            _log.warning("upload is contended", sha256=pinned.sha256)
            return
        if not keep:
            await self._store.delete(pinned.sha256)


class WaitingUploads:
    """The bytes in the object store of requests that wait for pinning services longer than it keeps them."""

    def __init__(self, store: UploadStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def renew(self, stored_at: datetime, sha256s: Iterable[str], session: Session) -> None:
        """Have the uploads of a request that is on the log since `stored_at` kept for longer, if it is time.

        Raises LogUnavailable.
        """
        now = self._clock.monotonic()
        waited = (self._clock.now() - stored_at).total_seconds()
        renewed = session.renewed_at is not None and now - session.renewed_at < RENEWAL_SECONDS
        if waited < RENEWED_AFTER_SECONDS or renewed:
            return
        for sha256 in set(sha256s):
            await self._store.renew(sha256)
        session.renewed_at = now
