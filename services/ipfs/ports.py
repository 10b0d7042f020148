"""What the ipfs service needs of a pinning service, and the ways in which pinning fails.

Used by `handlers`; implemented by `adapters`. Which error means what is decided by the adapter, once: the handlers only
ask whether trying again can help.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from services.ipfs.bodies import Body
from unixfs import Cid


@dataclass(frozen=True, slots=True)
class Content:
    """A file to pin: its bytes, the CID that was computed of them, and how to label it.

    `name` is shown in the pinning service's own lists and never part of the CID.
    """

    body: Body
    cid: Cid
    name: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of small files to pin, with the CID that was computed of it."""

    files: Mapping[str, bytes] = field(repr=False)
    cid: Cid
    name: str
    content_type: str
    """Of every file."""


Pinnable = Content | Folder


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


class ContentUnavailable(PinUnavailable):
    """This content could not be pinned now, which says nothing of others: the service is there, and takes them."""


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


class OutsideRefused(Exception):
    """An image at somebody else's address cannot or must not be fetched. Fatal: its reason is told to the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutsideImages(Protocol):
    """Fetches images from addresses that callers name."""

    async def fetch(self, url: str, target: BinaryIO) -> int:
        """Write the file at `url` into `target` and return its size. Raises OutsideRefused."""
        ...


class PinningService(Protocol):
    """Keeps content on IPFS under its CID."""

    @property
    def name(self) -> str:
        """What settings, logs and facts call the service."""
        ...

    @property
    def takes_bytes(self) -> bool:
        """False for a service that is told a CID and fetches the content from where it is pinned already."""
        ...

    @property
    def most_files(self) -> int:
        """How many files `pin_all` takes in one request at the most."""
        ...

    async def pin(self, content: Pinnable) -> None:
        """Return once the content is pinned under `content.cid`; pinning it again changes nothing.

        Raises PinUnavailable, PinRefused and ContentMismatch.
        """
        ...

    async def pin_all(self, contents: Sequence[Content]) -> None:
        """Return once each of the files is pinned under its own CID.

        Raises what `pin` raises for one of them, without saying which; any of them may be pinned then.
        """
        ...

    async def pin_by_cid(self, cid: Cid) -> None:
        """Return once the service has found the content by itself, as other nodes have it, and pinned it.

        Raises PinUnavailable when it could not, PinRefused and ContentMismatch.
        """
        ...

    async def has(self, cid: Cid) -> bool:
        """Return whether the service says that it has `cid` pinned.

        Raises PinUnavailable, and PinRefused or ContentMismatch when it speaks of something else.
        """
        ...

    async def check(self) -> None:
        """Return when the service answers and takes our credentials; raises PinUnavailable. For readiness."""
        ...


class OneByOne(ABC):
    """The part of a `PinningService` that takes one file a request."""

    @property
    def most_files(self) -> int:
        """See `PinningService.most_files`."""
        return 1

    @abstractmethod
    async def pin(self, content: Pinnable) -> None:
        """See `PinningService.pin`."""

    async def pin_all(self, contents: Sequence[Content]) -> None:
        """See `PinningService.pin_all`."""
        for content in contents:
            await self.pin(content)


class IpfsGateway(Protocol):
    """Serves what is on IPFS to the world, and to us: whether pinned content can be had."""

    @property
    def url(self) -> str:
        """Its base URL, as facts name it."""
        ...

    async def confirm(self, content: Pinnable) -> None:
        """Return once the gateway has given the whole content and it is what its CID names; raises PinUnavailable."""
        ...

    async def fetch(self, cid: Cid, target: BinaryIO, max_bytes: int) -> int | None:
        """Write a file's bytes into `target`, unverified; return how many, None when the gateway has none.

        Raises PinUnavailable, also for a file beyond `max_bytes`.
        """
        ...
