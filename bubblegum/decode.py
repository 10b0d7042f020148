"""From an executed transaction to what it did to compressed NFTs.

Used by the minter, the indexer and DAS. The whole tree of instructions is walked, so a mint that another program calls
counts as well. A leaf is taken only from the noop instruction that Bubblegum itself called, and a tree's change only
from the one that account compression, called by Bubblegum, called for the tree that it was given: anybody can call noop
and claim anything, so an event anywhere else says nothing. Nothing is guessed: what does not add up is `Unknown` with
the reason. So is what a compression program is asked for by anybody else, which Bubblegum's trees never are.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from solders.pubkey import Pubkey

from bubblegum import hashing, pda
from bubblegum.borsh import Reader
from bubblegum.changes import (
    Administered,
    Burned,
    Change,
    Decompressed,
    LeafEmptied,
    LeafUpdated,
    LeafWritten,
    Minted,
    Redeemed,
    Transferred,
    TreeCreated,
    Unknown,
)
from bubblegum.errors import DecodeError
from bubblegum.instructions import BubblegumInstruction, instruction_kind
from bubblegum.instructions.discriminators import DISCRIMINATOR_BYTES
from bubblegum.leaf import ChangeLogEvent, LeafSchemaEvent, decode_noop
from bubblegum.programs import BUBBLEGUM, COMPRESSION_PROGRAMS, NOOP_PROGRAMS
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction
from bubblegum.types import Collection, MetadataArgs, MetadataArgsV2

__all__ = [
    "Administered",
    "Burned",
    "Change",
    "Decompressed",
    "LeafEmptied",
    "LeafUpdated",
    "LeafWritten",
    "Minted",
    "Redeemed",
    "Transferred",
    "TreeCreated",
    "Unknown",
    "decode",
]

T = TypeVar("T")


def decode(tx: ExecutedTransaction) -> list[Change]:
    """What the transaction did, in order of execution; nothing when it failed. Never raises on what is on chain."""
    if tx.err is not None:
        return []
    found: list[Change] = []
    for top in tx.instructions:
        _collect(top, None, found)
    return found


def _collect(instruction: ExecutedInstruction, caller: Pubkey | None, found: list[Change]) -> None:
    """Add what `instruction` and those below it did. They are nested no deeper than MAX_STACK_HEIGHT."""
    if instruction.program_id == BUBBLEGUM:
        found.append(_decode_instruction(instruction))
    elif instruction.program_id in COMPRESSION_PROGRAMS and caller != BUBBLEGUM:
        change_logs = _readable(lambda: _told_by(instruction))
        found.append(Unknown(instruction, "account compression was not called by Bubblegum", change_logs))
    for child in instruction.inner:
        _collect(child, instruction.program_id, found)


def _decode_instruction(instruction: ExecutedInstruction) -> Change:
    try:
        kind = instruction_kind(instruction.data)
        if kind is None:
            return Unknown(instruction, "no instruction of the interface", _change_logs(instruction))
        return _DECODERS.get(kind, _updated)(instruction, kind)
    except DecodeError as error:
        # The bytes are on chain for ever; the caller learns what is wrong with them and goes on with the next.
        return Unknown(instruction, str(error), _readable(lambda: _change_logs(instruction)))


def _events(instruction: ExecutedInstruction, kind: type[T]) -> list[T]:
    """The events of one kind in the noop instructions that `instruction` itself called."""
    found = (decode_noop(child.data) for child in instruction.inner if child.program_id in NOOP_PROGRAMS)
    return [event for event in found if isinstance(event, kind)]


def _told_by(compression: ExecutedInstruction) -> tuple[ChangeLogEvent, ...]:
    """What an instruction of account compression says of the tree that it was given, which it always names first."""
    return tuple(event for event in _events(compression, ChangeLogEvent) if compression.accounts[:1] == (event.tree,))


def _change_logs(instruction: ExecutedInstruction) -> tuple[ChangeLogEvent, ...]:
    return tuple(
        event for child in instruction.inner if child.program_id in COMPRESSION_PROGRAMS for event in _told_by(child)
    )


def _readable(change_logs: Callable[[], tuple[ChangeLogEvent, ...]]) -> tuple[ChangeLogEvent, ...]:
    try:
        return change_logs()
    except DecodeError:
        # The changelog is what could not be read; the reason is already being reported by the caller.
        return ()


def _one(events: "list[T] | tuple[T, ...]", what: str) -> T:
    if len(events) != 1:
        raise DecodeError(f"{len(events)} {what} where there must be one")
    return events[0]


def _account(instruction: ExecutedInstruction, index: int) -> Pubkey:
    if index >= len(instruction.accounts):
        raise DecodeError(f"account {index} is missing")
    return instruction.accounts[index]


def _optional_account(instruction: ExecutedInstruction, index: int) -> Pubkey | None:
    key = _account(instruction, index)
    return None if key == BUBBLEGUM else key


def _change_of(instruction: ExecutedInstruction, tree: Pubkey | None) -> ChangeLogEvent:
    change_log = _one(_change_logs(instruction), "changelog events")
    if tree is not None and change_log.tree != tree:
        raise DecodeError(f"the changelog is of {change_log.tree}, the instruction of {tree}")
    return change_log


def _written(instruction: ExecutedInstruction, tree: Pubkey | None = None) -> tuple[LeafSchemaEvent, ChangeLogEvent]:
    """The leaf that the instruction left behind and the change of its tree, checked against each other."""
    leaf = _one(_events(instruction, LeafSchemaEvent), "leaf events")
    change_log = _change_of(instruction, tree)
    if change_log.leaf != leaf.leaf_hash:
        raise DecodeError("the tree took another leaf than the event tells of")
    return leaf, change_log


def _arguments(instruction: ExecutedInstruction) -> Reader:
    return Reader(instruction.data, DISCRIMINATOR_BYTES)


def _tree_created(instruction: ExecutedInstruction, kind: BubblegumInstruction) -> Change:
    source = _arguments(instruction)
    max_depth, max_buffer_size, public = source.u32(), source.u32(), source.option(source.boolean)
    payer, creator = _account(instruction, 2), _optional_account(instruction, 3)
    return TreeCreated(
        tree=_account(instruction, 1),
        tree_creator=payer if creator is None else creator,
        max_depth=max_depth,
        max_buffer_size=max_buffer_size,
        public=bool(public),
        version=2 if kind is BubblegumInstruction.CREATE_TREE_V2 else 1,
    )


def _minted(
    instruction: ExecutedInstruction,
    tree: Pubkey,
    metadata: MetadataArgs | MetadataArgsV2,
    collection: Pubkey | None,
) -> Minted:
    leaf, change_log = _written(instruction, tree)
    schema = leaf.schema
    matches = (
        hashing.data_hash(metadata) == schema.data_hash
        and hashing.creator_hash(metadata.creators) == schema.creator_hash
    )
    return Minted(leaf, change_log, metadata, collection, matches)


def _minted_v1(instruction: ExecutedInstruction, kind: BubblegumInstruction) -> Change:
    metadata = MetadataArgs.read(_arguments(instruction))
    collection = None
    if kind is BubblegumInstruction.MINT_TO_COLLECTION_V1:
        collection = _account(instruction, 8)
        # The program verifies the collection while it mints and hashes the metadata as verified.
        metadata = replace(metadata, collection=Collection(verified=True, key=collection))
    return _minted(instruction, _account(instruction, 3), metadata, collection)


def _minted_v2(instruction: ExecutedInstruction, _kind: BubblegumInstruction) -> Change:
    metadata = MetadataArgsV2.read(_arguments(instruction))
    return _minted(instruction, _account(instruction, 6), metadata, _optional_account(instruction, 7))


def _transferred(instruction: ExecutedInstruction, kind: BubblegumInstruction) -> Change:
    tree, owner = (4, 1) if kind is BubblegumInstruction.TRANSFER else (6, 3)
    leaf, change_log = _written(instruction, _account(instruction, tree))
    return Transferred(leaf, change_log, _account(instruction, owner))


def _emptied(instruction: ExecutedInstruction, kind: BubblegumInstruction) -> Change:
    version = 2 if kind is BubblegumInstruction.BURN_V2 else 1
    source = _arguments(instruction)
    source.raw(3 * hashing.HASH_BYTES)
    if version == 2:
        source.option(lambda: source.raw(hashing.HASH_BYTES))
        source.option(source.u8)
    nonce, index = source.u64(), source.u32()
    change_log = _change_of(instruction, None)
    if change_log.index != index or change_log.leaf != hashing.EMPTY_NODE:
        raise DecodeError(f"the tree did not empty leaf {index}")
    # The owner, the delegate, the tree: in this order in every interface of burn and redeem, released or not.
    position = instruction.accounts.index(change_log.tree) if change_log.tree in instruction.accounts else 0
    if position < 2:
        raise DecodeError(f"the changelog is of {change_log.tree}, which the instruction does not name")
    owner = instruction.accounts[position - 2]
    make = Redeemed if kind is BubblegumInstruction.REDEEM else Burned
    return make(pda.asset_id(change_log.tree, nonce), owner, nonce, version, change_log)


def _decompressed(instruction: ExecutedInstruction, _kind: BubblegumInstruction) -> Change:
    return Decompressed(asset_id=_account(instruction, 3), owner=_account(instruction, 1))


def _administered(instruction: ExecutedInstruction, kind: BubblegumInstruction) -> Change:
    if _change_logs(instruction):
        raise DecodeError(f"{kind.value} changed a tree")
    return Administered(kind, instruction.accounts)


def _updated(instruction: ExecutedInstruction, kind: BubblegumInstruction) -> Change:
    if not _events(instruction, LeafSchemaEvent):
        return Unknown(instruction, f"{kind.value} tells of no leaf", _change_logs(instruction))
    leaf, change_log = _written(instruction)
    if kind is BubblegumInstruction.UNVERIFY_COLLECTION:
        return LeafUpdated(leaf, change_log, kind, None, collection_changed=True)
    if kind in _COLLECTION_CHANGES:
        collection = _optional_account(instruction, _COLLECTION_AT)
        return LeafUpdated(leaf, change_log, kind, collection, collection_changed=True)
    return LeafUpdated(leaf, change_log, kind)


_COLLECTION_CHANGES: Final = frozenset(
    {
        BubblegumInstruction.SET_AND_VERIFY_COLLECTION,
        BubblegumInstruction.VERIFY_COLLECTION,
        BubblegumInstruction.SET_COLLECTION_V2,
    }
)
_COLLECTION_AT: Final = 8
"""Which account of these is the collection that the asset is in from now on: its mint, or its MPL-Core account."""

_DECODERS: Final[Mapping[BubblegumInstruction, Callable[[ExecutedInstruction, BubblegumInstruction], Change]]] = {
    BubblegumInstruction.CREATE_TREE: _tree_created,
    BubblegumInstruction.CREATE_TREE_V2: _tree_created,
    BubblegumInstruction.MINT_V1: _minted_v1,
    BubblegumInstruction.MINT_TO_COLLECTION_V1: _minted_v1,
    BubblegumInstruction.MINT_V2: _minted_v2,
    BubblegumInstruction.TRANSFER: _transferred,
    BubblegumInstruction.TRANSFER_V2: _transferred,
    BubblegumInstruction.BURN: _emptied,
    BubblegumInstruction.BURN_V2: _emptied,
    BubblegumInstruction.REDEEM: _emptied,
    BubblegumInstruction.DECOMPRESS_V1: _decompressed,
    BubblegumInstruction.SET_TREE_DELEGATE: _administered,
    BubblegumInstruction.SET_DECOMPRESSIBLE_STATE: _administered,
    BubblegumInstruction.CLOSE_TREE_V2: _administered,
    BubblegumInstruction.COLLECT_V2: _administered,
}
