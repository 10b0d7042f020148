"""Whether content that was pinned is gone, as far as audits know: the last that the log says of its CID.

Used by whoever would take an `upload.pinned` for a place where the content is: gateway and ipfs. Not done here: looking
with the pinning services (`services.ipfs.audit`).
"""

from chassis.log import EventLog
from contracts.content import Vanished, content_fence
from contracts.streams import CONTENT


async def vanished(log: EventLog, cid: str) -> Vanished | None:
    """Return what an audit said when it missed the content, if nothing was said since. Raises LogUnavailable."""
    newest = await log.last_matching(CONTENT, content_fence(cid))
    return newest.data if newest is not None and isinstance(newest.data, Vanished) else None
