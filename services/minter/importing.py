"""Importing: taking over a collection that was made elsewhere, as it is on chain. Nothing is signed for it.

Handles `collection.import_requested`: reads the collection's accounts and those of its trees, has them judged by
`adoption`, and says `created` or `failed`. What DAS tells decides nothing: which trees there may be, and how the
collection is described.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from solders.pubkey import Pubkey

from bubblegum import pda
from chassis.log import EventLog, Message, RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.collection import (
    MAX_TREES,
    CollectionCreated,
    CollectionFailed,
    CollectionImportRequested,
)
from services.minter.adoption import (
    Adoptable,
    AdoptableTree,
    NotImported,
    choose_trees,
    judge_collection,
    judge_tree,
    with_symbol,
)
from services.minter.ports import ChainUnavailable, Described, OwnedAccount

MAX_CANDIDATES: Final = 4 * MAX_TREES
"""Most trees that are looked at: others' trees may hold assets of the collection too."""
RETRY: Final = 2.0
"""Seconds before nodes that did not answer are asked again."""

_logger = get_logger(__name__)


class Accounts(Protocol):
    """What is needed of the chain."""

    async def owned_accounts(self, addresses: Sequence[str]) -> Sequence[OwnedAccount | None]:
        """Return at most 100 accounts at `confirmed`, in order. Raises ChainUnavailable."""
        ...


class Assets(Protocol):
    """What is needed of DAS."""

    async def described(self, collection: str) -> Described:
        """Return how a collection is described; empty when DAS does not know it. Raises ChainUnavailable."""
        ...

    async def trees_of(self, collection: str, most: int) -> Sequence[str]:
        """Return up to `most` trees that hold assets of the collection. Raises ChainUnavailable."""
        ...


class Importing:
    """The handler of the minter's consumer of imports."""

    def __init__(self, log: EventLog, chain: Accounts, assets: Assets, wallet: Pubkey) -> None:
        self._log = log
        self._chain = chain
        self._assets = assets
        self._wallet = wallet

    async def on_requested(self, message: Message[CollectionImportRequested]) -> None:
        """Take the collection over, or say why not; returns when `created` or `failed` is on the log."""
        request = message.data
        try:
            outcome = await self._examine(request)
        except ChainUnavailable as error:
            # Nothing was decided. Begin again when nodes answer.
            raise RetryLater(f"importing {request.collection_address}: {error}", after=RETRY) from error
        about = {"collection": str(request.collection), "address": request.collection_address}
        if isinstance(outcome, NotImported):
            _logger.warning("collection not imported", **about, code=outcome.code.value, reason=outcome.reason)
            outcome = CollectionFailed(
                collection=request.collection, code=outcome.code.value, reason=outcome.reason, cure=outcome.cure
            )
        try:
            # As with a collection that is made: it is created or failed, and nobody has spoken since the request.
            await self._log.publish(
                outcome,
                cause=message.event,
                expected_sequence=message.sequence,
                fence=f"collection.*.v1.{request.collection}",
            )
        except SequenceConflict:
            # Another worker has told how it ended, or it was asked for again: that message is handled for itself.
            _logger.info("import already settled", **about)

    async def _examine(self, request: CollectionImportRequested) -> CollectionCreated | NotImported:
        address = request.collection_address
        metadata = str(pda.metadata(Pubkey.from_string(address)))
        asset, about = await self._chain.owned_accounts([address, metadata])
        found = judge_collection(address, asset, None if about is None else about.data, self._wallet)
        if isinstance(found, NotImported):
            return found
        named = bool(request.tree_addresses)
        candidates = request.tree_addresses or await self._assets.trees_of(address, MAX_CANDIDATES)
        judged = [(tree, await self._tree(tree, found)) for tree in dict.fromkeys(candidates)]
        trees = choose_trees(judged, named=named)
        if isinstance(trees, NotImported):
            return trees
        return self._created(request, found, trees[:MAX_TREES], await self._assets.described(address))

    async def _tree(self, address: str, collection: Adoptable) -> AdoptableTree | str:
        try:
            key = Pubkey.from_string(address)
        except ValueError:  # stop: DAS told something that is no address
            return "it is no address"
        # One at a time: a tree with a deep canopy is a megabyte.
        config, tree = await self._chain.owned_accounts([str(pda.tree_config(key)), address])
        return judge_tree(address, collection.standard, None if config is None else config.data, tree, self._wallet)

    def _created(
        self,
        request: CollectionImportRequested,
        found: Adoptable,
        trees: Sequence[AdoptableTree],
        described: Described,
    ) -> CollectionCreated:
        named = with_symbol(found, request.symbol, described.symbol)
        first, *others = (tree.place for tree in trees)
        return CollectionCreated(
            collection=request.collection,
            name=named.name,
            symbol=named.symbol,
            standard=named.standard,
            uri=named.uri,
            collection_address=request.collection_address,
            tree_address=first.tree_address,
            creator_address=str(self._wallet),
            tree=first.tree,
            signatures=(),
            slot=0,
            fee=0,
            description=described.description,
            image_uri=described.image_uri,
            external_url=described.external_url,
            seller_fee_basis_points=named.seller_fee_basis_points,
            is_public=request.is_public,
            allow_minting=request.allow_minting,
            imported=True,
            more_trees=tuple(others),
            minted_before=sum(tree.minted for tree in trees),
        )
