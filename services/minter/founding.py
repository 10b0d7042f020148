"""Founding: a pinned collection's asset and tree, made on chain by two transactions, each landed exactly once.

Handles `collection.pinned`. Transaction 0 makes the collection asset, transaction 1 the tree; both addresses are
derived from the wallet and the collection's id, so that no attempt can ever make a second one.
"""

from collections.abc import Sequence
from uuid import UUID

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bubblegum.collections import MINT_ACCOUNT_BYTES
from bubblegum.merkle import tree_account_size
from chassis.log import EventLog, InvalidEvent, Message, RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.collection import (
    CollectionCreated,
    CollectionFailed,
    CollectionPinned,
    CollectionRequested,
    CollectionSigned,
)
from contracts.fact import Event, Fact
from contracts.mint import Attempt
from services.minter.lander import Lander, OnChain, SignedRecord, wire_bytes
from services.minter.plan import collection_instructions, tree_instructions
from services.minter.ports import Chain, ChainUnavailable
from services.minter.refusals import Refusal
from services.minter.signer import Signer

ASSET_TX, TREE_TX = 0, 1

_logger = get_logger(__name__)


class FoundingTransaction:
    """One transaction of a collection's making on the log; implements `lander.Transaction`."""

    def __init__(
        self,
        log: EventLog,
        cause: Event[Fact],
        collection: UUID,
        tx: int,
        work: Sequence[Instruction],
        wallet: Pubkey,
        purpose: str,
    ) -> None:
        self._log = log
        self._cause = cause
        self._collection = collection
        self._tx = tx
        self._work = work
        self._wallet = wallet
        self._sequence = 0
        self.co_signers: Sequence[str] = (purpose,)

    @property
    def label(self) -> str:
        """Collection and number."""
        return f"{self._collection}.{self._tx}"

    async def read(self) -> SignedRecord | None:
        """Return the attempts on the log."""
        signed = await self._log.last(CollectionSigned, collection=self._collection, tx=self._tx)
        if signed is None:
            return None
        self._sequence = signed.sequence
        return SignedRecord((*signed.data.earlier, signed.data.attempt), wire_bytes(signed.data.transaction))

    async def instructions(self) -> Sequence[Instruction]:
        """Return what it is to do."""
        return self._work

    async def intend(self, attempt: Attempt, wire_base64: str, earlier: tuple[Attempt, ...]) -> None:
        """Publish `collection.signed`, fenced by its own subject."""
        signed = CollectionSigned(
            collection=self._collection,
            tx=self._tx,
            attempt=attempt,
            transaction=wire_base64,
            fee_payer=str(self._wallet),
            earlier=earlier,
        )
        await self._log.publish(signed, cause=self._cause, expected_sequence=self._sequence)


class Founding:
    """The handler of the minter's COLLECTION consumer."""

    def __init__(self, log: EventLog, chain: Chain, lander: Lander, signer: Signer) -> None:
        self._log = log
        self._chain = chain
        self._lander = lander
        self._signer = signer

    async def on_pinned(self, message: Message[CollectionPinned]) -> None:
        """Make the collection and its tree; returns when `created` or `failed` is on the log."""
        collection = message.data.collection
        requested = await self._log.last(CollectionRequested, collection=collection)
        if requested is None:
            raise InvalidEvent(f"collection {collection} was pinned and never requested")
        if await self._log.last(CollectionCreated, collection=collection):
            return
        landed: list[OnChain] = []
        for transaction in await self._transactions(message, requested.data):
            outcome = await self._lander.land(transaction)
            if isinstance(outcome, Refusal):
                await self._fail(message, outcome)
                return
            landed.append(outcome)
        await self._create(message, requested.data, landed)

    async def _transactions(
        self, message: Message[CollectionPinned], requested: CollectionRequested
    ) -> list[FoundingTransaction]:
        asset, tree = asset_purpose(requested.collection), tree_purpose(requested.collection)
        shape, wallet = requested.tree, self._signer.pubkey
        size = tree_account_size(shape.max_depth, shape.max_buffer_size, shape.canopy_depth)
        try:
            mint_rent = await self._chain.minimum_rent(MINT_ACCOUNT_BYTES)
            tree_rent = await self._chain.minimum_rent(size)
        except ChainUnavailable as error:
            # Nothing was begun; begin again when a node answers.
            raise RetryLater(str(error), after=1.0) from error
        asset_work = collection_instructions(
            requested, message.data.uri, self._signer.derived_address(asset), wallet, mint_rent
        )
        tree_work = tree_instructions(requested.standard, shape, self._signer.derived_address(tree), wallet, tree_rent)
        return [
            FoundingTransaction(self._log, message.event, requested.collection, tx, work, wallet, purpose)
            for tx, work, purpose in ((ASSET_TX, asset_work, asset), (TREE_TX, tree_work, tree))
        ]

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
        total = 0
        for each in landed:
            try:
                transaction = await self._chain.transaction(each.attempt.signature)
            except ChainUnavailable as error:
                # Both are on chain; the next delivery finds them there and asks again for their fees.
                raise RetryLater(str(error), after=1.0) from error
            if transaction is None:
                raise RetryLater(f"{each.attempt.signature} is confirmed but not shown yet", after=0.5)
            total += transaction.fee
        return total

    async def _fail(self, message: Message[CollectionPinned], refusal: Refusal) -> None:
        _logger.error("collection refused", collection=str(message.data.collection), code=refusal.code)
        failed = CollectionFailed(
            collection=message.data.collection, code=refusal.code, reason=refusal.reason, cure=refusal.cure
        )
        await self._tell(failed, message)

    async def _tell(self, fact: Fact, message: Message[CollectionPinned]) -> None:
        fence = f"collection.*.v1.{message.data.collection}"
        try:
            # Fenced over all of the collection's closing facts: it is created or failed, never both.
            await self._log.publish(fact, cause=message.event, expected_sequence=message.sequence, fence=fence)
        except SequenceConflict:
            # Another worker has told how it ended; the chain had one outcome, and theirs stands.
            _logger.info("collection already settled", collection=str(message.data.collection))


def asset_purpose(collection: UUID) -> str:
    """Return the name of the derived key that the collection asset signs its creation with."""
    return f"collection:{collection}:asset"


def tree_purpose(collection: UUID) -> str:
    """Return the name of the derived key that the tree account signs its creation with."""
    return f"collection:{collection}:tree"
