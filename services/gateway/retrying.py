"""The request that mints an operation's failed items anew. Pure.

Its id is derived from the first operation's, so that two retries of one operation are one.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from contracts.mint import Image, ImageUri, Nft, Requested
from services.gateway.identity import derived_id
from services.gateway.meaning import digest
from services.gateway.ports import FailedItem

_CALLER = "retry"


def retry_request(earlier: Requested, failed: Sequence[FailedItem]) -> Requested:
    """Return the request for the failed items: the same NFTs, each with as many copies as have failed."""
    nft_of = {item.index: item.nft for item in earlier.items()}
    copies = Counter(nft_of[item.index] for item in failed)
    pinned = {nft_of[item.index]: item.image_uri for item in failed if item.image_uri is not None}
    request = Requested(
        operation=derived_id("retry", _CALLER, str(earlier.operation)),
        operation_type=earlier.operation_type,
        collection=earlier.collection,
        recipient=earlier.recipient,
        nfts=tuple(_again(earlier.nfts[nft], copies[nft], pinned.get(nft)) for nft in sorted(copies)),
        batch_size=earlier.batch_size,
        caller=earlier.caller,
        delay_between_batches_ms=earlier.delay_between_batches_ms,
        retry_of=earlier.operation,
    )
    return msgspec.structs.replace(request, request_sha256=digest(request))


def _again(nft: Nft, copies: int, pinned: str | None) -> Nft:
    # An image that is pinned is taken from there: the uploaded bytes are kept for some days only.
    image: Image = ImageUri(uri=pinned) if pinned is not None else nft.image
    return msgspec.structs.replace(nft, copies=copies, image=image)
