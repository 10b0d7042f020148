"""Lists a tree's transactions from old to new, as a node tells them: from new to old and a page at a time.

Used by `reading`. A node that loses its place between two pages (several nodes behind one URL, for instance) is noticed
and not believed: what it left out would else be skipped without a word.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bubblegum.transaction import ExecutedTransaction
from services.indexer.ports import ChainUnavailable

PAGE: Final = 1000
"""Most signatures that getSignaturesForAddress returns at once (Agave)."""


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction that names an address."""

    signature: str
    slot: int
    failed: bool


class History(Protocol):
    """What one node remembers of an address, at commitment `finalized`. Every method may raise ChainUnavailable."""

    async def signatures(
        self, address: str, before: str | None, until: str | None, limit: int, min_slot: int
    ) -> Sequence[Landed]:
        """Return the newest of those older than `before` and newer than `until`, the newest first.

        A node that has not finalized `min_slot` does not answer. One that does not know `until` tells everything older
        than `before`, one that does not know `before` tells nothing.
        """
        ...

    async def transaction(self, signature: str) -> ExecutedTransaction:
        """Return a transaction that `signatures` told of; raises DecodeError when it is not what it should be."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a tree's past: older than `before`, newer than `until`, and in no slot before `floor`."""

    floor: int
    before: str | None = None
    until: str | None = None


async def pages(history: History, tree: str, span: Span) -> AsyncGenerator[Sequence[Landed]]:
    """Yield what is in the span, the oldest page first and each page from old to new.

    Only where each page begins is kept, and the newer pages are asked for again, so that a tree of a million
    transactions costs no more memory than one of a thousand. Raises ChainUnavailable, also when a page is another one
    the second time.
    """
    beginnings = [span.before]
    page, full = await _page(history, tree, span, span.before)
    while full:
        beginnings.append(page[-1].signature)
        page, full = await _page(history, tree, span, beginnings[-1])
    yield page[::-1]
    while len(beginnings) > 1:
        end = beginnings.pop()
        page, full = await _page(history, tree, span, beginnings[-1])
        if not full or page[-1].signature != end:
            raise ChainUnavailable("the node tells another history of a tree than a moment ago")
        yield page[::-1]


async def _page(history: History, tree: str, span: Span, before: str | None) -> tuple[list[Landed], bool]:
    """One page, the newest first, and whether there may be more of the span behind it."""
    found = await history.signatures(tree, before, span.until, PAGE, span.floor)
    kept = [each for each in found if each.slot >= span.floor]
    return kept, len(kept) == PAGE
