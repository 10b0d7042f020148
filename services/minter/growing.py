"""Making trees and their lookup tables on chain, each by one transaction that lands exactly once.

Used by `founding` for the trees that a collection begins with, and by `minting` for those that it gets when it is
nearly full. A tree's address is derived from the wallet, the collection and the tree's number, so that no attempt and
no other worker can make a second one. A lookup table only saves bytes: where none can be made, minting goes on without.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bubblegum.errors import DecodeError
from bubblegum.lookup_tables import create_table, created_table, table_contents
from bubblegum.merkle import tree_account_size
from bubblegum.reach import max_proof_nodes
from chassis.log import EventLog, RetryLater
from chassis.logs import get_logger
from contracts.collection import (
    MAX_TREES,
    CollectionCreated,
    CollectionSigned,
    CollectionTableCreated,
    CollectionTreeAdded,
    Standard,
    TreeShape,
)
from contracts.fact import Event, Fact
from contracts.mint import Attempt, FailureCode
from services.minter.gate import Passage
from services.minter.lander import Lander, OnChain, SignedRecord, wire_bytes
from services.minter.packing import Rooms
from services.minter.plan import LookupTable, table_addresses, tree_instructions
from services.minter.ports import Chain, ChainUnavailable, ConfirmedTransaction
from services.minter.refusals import Refusal
from services.minter.signer import Signer
from services.minter.trees import CollectionTrees

NEVER: Final = 1.0
"""The setting with which no collection gets a further tree."""

SHOWN_RETRY: Final = 0.3
"""Seconds before a node is asked again for a transaction that it says is confirmed but does not show yet."""

_logger = get_logger(__name__)

MakeWork = Callable[[], Awaitable[Sequence[Instruction]]]
"""Makes a transaction's instructions anew for every attempt; may raise ChainUnavailable."""


def tree_tx(number: int) -> int:
    """Return the number of the transaction that makes tree `number` of a collection."""
    return 1 + 2 * number


def table_tx(number: int) -> int:
    """Return the number of the transaction that makes the lookup table of tree `number`."""
    return 2 + 2 * number


def asset_purpose(collection: UUID) -> str:
    """Return the name of the derived key that the collection asset signs its creation with."""
    return f"collection:{collection}:asset"


def tree_purpose(collection: UUID, number: int = 0) -> str:
    """Return the name of the derived key that a tree account signs its creation with."""
    return f"collection:{collection}:tree" + (f":{number}" if number else "")


def table_purpose(collection: UUID, number: int) -> str:
    """Return the name of the derived key that is the authority of a tree's lookup table.

    A key of its own: two tables of one authority that are made in the same slot would be one table.
    """
    return f"collection:{collection}:table:{number}"


def unmovable(standard: Standard, shape: TreeShape) -> Refusal | None:
    """Return why leaves of such a tree could never be transferred or burned; None when they can."""
    most = max_proof_nodes(2 if standard is Standard.V2 else 1)
    nodes = shape.max_depth - shape.canopy_depth
    if nodes <= most:
        return None
    return Refusal(
        FailureCode.TREE_UNMOVABLE,
        f"A proof of {nodes} nodes does not fit into a transaction: the NFTs could never be transferred or burned.",
        f"Choose a canopy depth of at least {shape.max_depth - most} with depth {shape.max_depth}.",
    )


class FoundingTransaction:
    """One transaction of a collection's making on the log; implements `lander.Transaction`."""

    tables: Sequence[LookupTable] = ()
    shape: None = None
    shared = False

    def __init__(
        self,
        log: EventLog,
        cause: Event[Fact],
        collection: UUID,
        tx: int,
        make_work: MakeWork,
        wallet: Pubkey,
        co_signers: Sequence[str],
    ) -> None:
        self._log = log
        self._cause = cause
        self._collection = collection
        self._tx = tx
        self._make_work = make_work
        self._wallet = wallet
        self._sequence = 0
        self.co_signers: Sequence[str] = co_signers

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

    def made_in(self, passage: Passage) -> bool:  # noqa: ARG002  (see `lander.Transaction`)
        """Return True: what it makes follows from the collection's id and was decided by nobody."""
        return True

    async def instructions(self, payer: Pubkey) -> Sequence[Instruction]:
        """Return what it is to do; the wallet pays, for it is what the collection belongs to."""
        assert payer == self._wallet
        return await self._make_work()

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
        self._sequence = await self._log.publish(signed, cause=self._cause, expected_sequence=self._sequence)


class TreeMaker:
    """Makes trees and lookup tables. Methods raise RetryLater when they cannot go on now."""

    def __init__(self, log: EventLog, chain: Chain, lander: Lander, signer: Signer, *, lookup_tables: bool) -> None:
        self._log = log
        self._chain = chain
        self._lander = lander
        self._signer = signer
        self._lookup_tables = lookup_tables

    def tree_address(self, collection: UUID, number: int) -> Pubkey:
        """Return the address of tree `number` of a collection, made or not."""
        return self._signer.derived_address(tree_purpose(collection, number))

    async def has_tree(self, collection: UUID, number: int) -> bool:
        """Return whether the log has tree `number`, from 1, of the collection."""
        return await self._log.last(CollectionTreeAdded, collection=collection, number=number) is not None

    async def make_tree(
        self, cause: Event[Fact], collection: UUID, number: int, standard: Standard, shape: TreeShape
    ) -> OnChain | Refusal:
        """Make tree `number`; says `tree_added` of every tree but the first, which is part of `created`."""
        purpose, size = tree_purpose(collection, number), _size(shape)

        async def work() -> Sequence[Instruction]:
            rent = await self._chain.minimum_rent(size)
            address = self._signer.derived_address(purpose)
            return tree_instructions(standard, shape, address, self._signer.pubkey, rent)

        outcome = await self._land(cause, collection, tree_tx(number), work, (purpose,))
        if number and isinstance(outcome, OnChain):
            added = CollectionTreeAdded(
                collection=collection,
                number=number,
                tree_address=str(self.tree_address(collection, number)),
                tree=shape,
                signature=outcome.attempt.signature,
                slot=outcome.state.slot,
            )
            await self._log.publish_once(added, cause=cause)
        return outcome

    async def make_table(
        self, cause: Event[Fact], collection: UUID, number: int, standard: Standard, collection_address: Pubkey
    ) -> None:
        """Make the lookup table of tree `number` and say `table_created`, unless tables are turned off.

        The table's address depends on the slot that the attempt which landed was signed for, so it is read from the
        chain. A refusal is logged, and the tree has no table.
        """
        if not self._lookup_tables:
            return
        wallet, tree = self._signer.pubkey, self.tree_address(collection, number)
        purpose = table_purpose(collection, number)
        addresses = table_addresses(standard, collection_address, tree, wallet)

        async def work() -> Sequence[Instruction]:
            head = await self._chain.finalized_head()
            authority = self._signer.derived_address(purpose)
            return create_table(authority=authority, payer=wallet, recent_slot=head.slot, addresses=addresses)

        outcome = await self._land(cause, collection, table_tx(number), work, (purpose,))
        if isinstance(outcome, Refusal):
            _logger.warning("no lookup table", collection=str(collection), tree=str(tree), reason=outcome.reason)
            return
        table = await self._table_of(outcome, addresses)
        created = CollectionTableCreated(
            collection=collection,
            number=number,
            tree_address=str(tree),
            table_address=str(table),
            addresses=tuple(str(address) for address in addresses),
            signature=outcome.attempt.signature,
            slot=outcome.state.slot,
        )
        await self._log.publish_once(created, cause=cause)

    async def _table_of(self, landed: OnChain, addresses: Sequence[Pubkey]) -> Pubkey:
        """Return the table that was made, once a node shows that it holds these addresses and no others.

        A transaction that names an account by its place in a table writes to whatever stands there.
        """
        try:
            table = created_table((await executed(self._chain, landed)).executed)
            (data,) = await self._chain.accounts([str(table)])
            held = None if data is None else table_contents(data)
        except (ChainUnavailable, DecodeError) as error:
            # Ask again: it is on chain, so a node that tells all of it will show the table.
            raise RetryLater(str(error), after=1.0) from error
        if held != tuple(addresses):
            raise RetryLater(f"lookup table {table} is not shown as it was made", after=1.0)
        return table

    async def _land(
        self, cause: Event[Fact], collection: UUID, tx: int, work: MakeWork, co_signers: Sequence[str]
    ) -> OnChain | Refusal:
        transaction = FoundingTransaction(self._log, cause, collection, tx, work, self._signer.pubkey, co_signers)
        return await self._lander.land(transaction)


class Growth:
    """Gives a collection a further tree before its trees are full."""

    def __init__(self, maker: TreeMaker, trees: CollectionTrees, at: float) -> None:
        """`at` is the part of all leaves, 0 to 1, at which a further tree is made; NEVER turns it off."""
        self._maker = maker
        self._trees = trees
        self._at = at
        self._one_at_a_time = asyncio.Lock()

    def possible(self, rooms: Rooms) -> bool:
        """Return whether the collection may get another tree."""
        return self._at < NEVER and len(rooms.trees) < MAX_TREES

    def due(self, rooms: Rooms) -> bool:
        """Return whether the collection should get another tree now."""
        return self.possible(rooms) and rooms.filled >= self._at

    async def grow(self, cause: Event[Fact], collection: CollectionCreated, rooms: Rooms) -> bool:
        """Make the tree after those in `rooms`; return whether it is there. Raises RetryLater.

        A refusal is logged: the next chunk tries again, until the trees are full and their items are refused.
        """
        async with self._one_at_a_time:
            made = await self._add(cause, collection, len(rooms.trees))
        self._trees.forget(collection.collection)
        return made

    async def make_room(self, cause: Event[Fact], collection: CollectionCreated, leaves: int) -> Rooms:
        """Return the collection's rooms, with trees made until there are `leaves` free ones, if they can be made.

        Raises RetryLater and ChainUnavailable.
        """
        rooms = await self._trees.rooms(collection)
        while rooms.free < leaves and self.possible(rooms) and await self.grow(cause, collection, rooms):
            rooms = await self._trees.rooms(collection)
        return rooms

    async def _add(self, cause: Event[Fact], collection: CollectionCreated, number: int) -> bool:
        if await self._maker.has_tree(collection.collection, number):
            return True
        # The table first: whoever sees the tree on the log sees its table too.
        address = Pubkey.from_string(collection.collection_address)
        await self._maker.make_table(cause, collection.collection, number, collection.standard, address)
        outcome = await self._maker.make_tree(
            cause, collection.collection, number, collection.standard, collection.tree
        )
        about = {"collection": str(collection.collection), "number": number}
        if isinstance(outcome, Refusal):
            _logger.error("no further tree", **about, code=outcome.code, reason=outcome.reason)
            return False
        _logger.info("further tree made", **about)
        return True


async def executed(chain: Chain, landed: OnChain) -> ConfirmedTransaction:
    """Return a landed transaction as it ran; raises RetryLater while no node shows it."""
    try:
        found = await chain.transaction(landed.attempt.signature)
    except ChainUnavailable as error:
        # It is on chain; only its details are missing. The next delivery reads them.
        raise RetryLater(str(error), after=1.0) from error
    if found is None:
        raise RetryLater(f"{landed.attempt.signature} is confirmed but not shown yet", after=SHOWN_RETRY)
    return found


def _size(shape: TreeShape) -> int:
    return tree_account_size(shape.max_depth, shape.max_buffer_size, shape.canopy_depth)
