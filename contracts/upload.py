"""The facts of one file uploaded by itself (`POST /api/upload/ipfs`); the same bytes are one upload.

`requested` (gateway) -> `pinned` or `failed` (ipfs). The gateway stores the bytes in UPLOADS, computes their CID, and
says `requested` under `upload_fence` when nothing or `failed` was said last; otherwise it answers from what is there.
`pinned` without a `requested` tells of a mint's image.
"""

from typing import Annotated, ClassVar

import msgspec

from contracts.fact import Count, Fact, Hash32
from contracts.mint import FailureCode

CidText = Annotated[str, msgspec.Meta(pattern=r"^(Qm[1-9A-HJ-NP-Za-km-z]{44}|b[a-z2-7]{8,200})$")]
"""A content identifier: version 0 in base58btc, or version 1 in base32."""


def upload_fence(sha256: str) -> str:
    """Return the pattern of every fact about one upload: requested, pinned, failed."""
    return f"upload.*.v1.{sha256}"


class UploadRequested(Fact, frozen=True, kw_only=True):
    """A caller asked for a file on IPFS; its bytes are in the object store UPLOADS under their SHA-256."""

    SUBJECT: ClassVar[str] = "upload.requested.v1.{sha256}"

    sha256: Hash32
    cid: CidText
    """The CID that the caller was told: that of the very bytes in the object store."""
    content_type: str
    """Told by the content: an image type, or `application/json`."""
    size: Count
    filename: str | None = None


class UploadPinned(Fact, frozen=True, kw_only=True):
    """These very bytes are on IPFS. Said of the images of mints too, whose bytes need not be kept then."""

    SUBJECT: ClassVar[str] = "upload.pinned.v1.{sha256}"

    sha256: Hash32
    cid: CidText
    uri: str
    """`ipfs://` URI of the file."""
    size: Count
    content_type: str = "application/octet-stream"
    retrieved_from: str | None = None
    """The IPFS gateway through which the content was fetched and verified after pinning; None: not checked."""


class UploadFailed(Fact, frozen=True, kw_only=True):
    """The file can never be pinned as it is."""

    SUBJECT: ClassVar[str] = "upload.failed.v1.{sha256}"

    sha256: Hash32
    code: FailureCode
    reason: str
    """One sentence for a person."""
    cure: str = ""
    """What to do about it."""
