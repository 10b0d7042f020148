"""What the ipfs service needs of a pinning service, and the three ways in which pinning fails.

Used by `handlers`; implemented by `adapters`. Which error means what is decided by the adapter, once: the handlers only
ask whether trying again can help.
"""

from dataclasses import dataclass, field
from typing import Protocol

from unixfs import Cid


@dataclass(frozen=True, slots=True)
class Content:
    """A file to pin: its bytes, the CID that was computed of them, and how to label it.

    `name` is shown in the pinning service's own lists and never part of the CID.
    """

    data: bytes = field(repr=False)
    cid: Cid
    name: str
    content_type: str


class PinUnavailable(Exception):
    """The content could not be pinned now, for reasons that are not the content's: try again.

    `after` is in seconds; None when the service did not say. `operator` is true when it will not pass by itself:
    refused credentials, a wrong address, an exhausted plan. Retried all the same, because the content is good.
    """

    def __init__(self, reason: str, *, after: float | None = None, operator: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.operator = operator


class PinRefused(Exception):
    """The pinning service will never take this content (too large, a type that it does not host). Fatal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ContentMismatch(Exception):
    """The pinning service stored the content under another CID than the computed one. Fatal: it would again.

    Whoever reads the computed CID would not find the content, so the URI must not be minted.
    """

    def __init__(self, expected: Cid, answered: str) -> None:
        super().__init__(f"computed {expected}, the pinning service answered {answered[:80]!r}")
        self.expected = expected
        self.answered = answered[:80]


class PinningService(Protocol):
    """Keeps content on IPFS under its CID."""

    async def pin(self, content: Content) -> None:
        """Return once the content is pinned under `content.cid`; pinning it again changes nothing.

        Raises PinUnavailable, PinRefused and ContentMismatch.
        """
        ...

    async def check(self) -> None:
        """Return when the service answers and takes our credentials; raises PinUnavailable. For readiness."""
        ...
