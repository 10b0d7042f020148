"""Founding: a pinned collection's asset, trees and lookup tables, each made by a transaction that lands exactly once.

Handles `collection.pinned`. The asset comes first, then the trees and tables beside one another. Addresses are derived
from the wallet and the collection's id, so that no attempt can ever make a second one.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from solders.instruction import Instruction

from bubblegum.collections import MINT_ACCOUNT_BYTES
from chassis.log import EventLog, Message, MissingFact, RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.collection import CollectionCreated, CollectionFailed, CollectionPinned, CollectionRequested
from contracts.fact import Fact
from contracts.streams import COLLECTION
from services.minter.growing import (
    FoundingTransaction,
    TreeMaker,
    asset_purpose,
    executed,
    tree_purpose,
    unmovable,
)
from services.minter.lander import Lander, OnChain
from services.minter.plan import collection_instructions
from services.minter.ports import Chain
from services.minter.refusals import Refusal
from services.minter.signer import Signer

ASSET_TX: Final = 0
"""The transaction that makes the asset; those of the trees and tables follow (`growing.tree_tx`)."""

MAX_CONFLICTS: Final = 8
"""Refused publishes of how a collection ended before its message is left for a later delivery."""

_logger = get_logger(__name__)


class Founding:
    """The handler of the minter's COLLECTION consumer."""

    def __init__(
        self, log: EventLog, chain: Chain, lander: Lander, signer: Signer, maker: TreeMaker | None = None
    ) -> None:
        self._log = log
        self._chain = chain
        self._lander = lander
        self._signer = signer
        self._maker = maker or TreeMaker(log, chain, lander, signer, lookup_tables=True)

    async def on_pinned(self, message: Message[CollectionPinned]) -> None:
        """Make the collection and its trees; returns when `created` or `failed` is on the log."""
        collection = message.data.collection
        requested = await self._log.last(CollectionRequested, collection=collection)
        if requested is None:
            raise MissingFact(f"collection {collection} was pinned and never requested")
        if await self._ended(collection):
            return
        landed = unmovable(requested.data.standard, requested.data.tree) or await self._land(message, requested.data)
        if isinstance(landed, Refusal):
            await self._fail(message, landed)
        else:
            await self._create(message, requested.data, landed)

    async def _land(
        self, message: Message[CollectionPinned], requested: CollectionRequested
    ) -> list[OnChain] | Refusal:
        """Make the asset, then everything else at once: a refused collection has cost no tree."""
        asset = await self._lander.land(self._asset(message, requested))
        if isinstance(asset, Refusal):
            return asset
        collection, address = requested.collection, self._signer.derived_address(asset_purpose(requested.collection))
        made = await asyncio.gather(
            *(
                self._maker.make_tree(message.event, collection, number, requested.standard, requested.tree)
                for number in range(requested.trees)
            ),
            *(
                self._maker.make_table(message.event, collection, number, requested.standard, address)
                for number in range(requested.trees)
            ),
            return_exceptions=True,
        )
        # Each went its own way to its own end; the first trouble, if any, decides.
        for outcome in made:
            if isinstance(outcome, BaseException):
                raise outcome
            if isinstance(outcome, Refusal):
                return outcome
        return [asset, *(outcome for outcome in made if isinstance(outcome, OnChain))]

    def _asset(self, message: Message[CollectionPinned], requested: CollectionRequested) -> FoundingTransaction:
        purpose, wallet = asset_purpose(requested.collection), self._signer.pubkey

        async def work() -> Sequence[Instruction]:
            rent = await self._chain.minimum_rent(MINT_ACCOUNT_BYTES)
            address = self._signer.derived_address(purpose)
            return collection_instructions(requested, message.data.uri, address, wallet, rent)

        return FoundingTransaction(self._log, message.event, requested.collection, ASSET_TX, work, wallet, (purpose,))

    async def _create(
        self, message: Message[CollectionPinned], requested: CollectionRequested, landed: Sequence[OnChain]
    ) -> None:
        created = CollectionCreated(
            collection=requested.collection,
            name=requested.name,
            symbol=requested.symbol,
            standard=requested.standard,
            uri=message.data.uri,
            collection_address=str(self._signer.derived_address(asset_purpose(requested.collection))),
            tree_address=str(self._signer.derived_address(tree_purpose(requested.collection))),
            creator_address=str(self._signer.pubkey),
            tree=requested.tree,
            signatures=tuple(each.attempt.signature for each in landed),
            slot=max(each.state.slot for each in landed),
            fee=await self._fees(landed),
            description=requested.description,
            image_uri=message.data.image_uri,
            external_url=requested.external_url,
            seller_fee_basis_points=requested.seller_fee_basis_points,
            is_public=requested.is_public,
            allow_minting=requested.allow_minting,
        )
        await self._tell(created, message)

    async def _fees(self, landed: Sequence[OnChain]) -> int:
        return sum([(await executed(self._chain, each)).fee for each in landed])

    async def _fail(self, message: Message[CollectionPinned], refusal: Refusal) -> None:
        _logger.error("collection refused", collection=str(message.data.collection), code=refusal.code)
        failed = CollectionFailed(
            collection=message.data.collection, code=refusal.code, reason=refusal.reason, cure=refusal.cure
        )
        await self._tell(failed, message)

    async def _ended(self, collection: UUID) -> bool:
        """Return whether the log says how it ended: created or failed."""
        return bool(
            await self._log.last(CollectionCreated, collection=collection)
            or await self._log.last(CollectionFailed, collection=collection)
        )

    async def _tell(self, fact: Fact, message: Message[CollectionPinned]) -> None:
        """Say how it ended, unless somebody has: it is created or failed, never both. Raises RetryLater."""
        collection = message.data.collection
        fence = f"collection.*.v1.{collection}"
        for _ in range(MAX_CONFLICTS):
            # In this order: an end that is said after the first read makes the publish fail.
            newest = await self._log.last_matching(COLLECTION, fence)
            if await self._ended(collection):
                _logger.info("collection already settled", collection=str(collection))
                return
            try:
                await self._log.publish(
                    fact, cause=message.event, expected_sequence=newest.sequence if newest else 0, fence=fence
                )
            except SequenceConflict:
                continue  # somebody spoke of the collection meanwhile: read it
            return
        raise RetryLater(f"collection {collection} is much spoken of", after=0.5)
