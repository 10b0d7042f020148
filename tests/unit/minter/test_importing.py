"""Collections that were made elsewhere, taken over or refused: accounts are those that the stand-in programs wrote."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum.collection_accounts import CoreCollection as CoreAccount
from bubblegum.collection_accounts import MetadataAccount
from bubblegum.errors import DecodeError
from bubblegum.instructions import mint_to_collection_v1, mint_v2
from bubblegum.pda import metadata as metadata_address
from chassis.log import Message, RetryLater
from contracts.collection import (
    CollectionCreated,
    CollectionFailed,
    CollectionImportRequested,
    ImportFault,
    Standard,
    TreeShape,
)
from services.minter.adapters.das import PAGE, Das
from services.minter.importing import Importing
from services.minter.ports import ChainUnavailable, Described, OwnedAccount
from tests.support.bubblegum_vm import (
    BubblegumTree,
    CoreCollection,
    TokenMetadataCollection,
    bubblegum_vm,
    core_collection_instruction,
    metadata_v1,
    metadata_v2,
)
from tests.support.memory_log import MemoryLog
from tests.support.vm import Vm

COLLECTION = UUID(int=7)
ROYALTIES = b"\x00" + (750).to_bytes(2, "little") + b"\1\0\0\0" + bytes(Keypair().pubkey()) + b"\x64" + b"\0" + b"\0"
"""The plugin Royalties: basis points, one creator with all of it, no rule set; and no authority of its own."""


@dataclass
class World:
    """A chain, what DAS tells of it, and the importer of one wallet."""

    vm: Vm = field(default_factory=bubblegum_vm)
    log: MemoryLog = field(default_factory=MemoryLog)
    trees: Sequence[str] = ()
    about: Described = field(default_factory=Described)
    down: bool = False

    async def owned_accounts(self, addresses: Sequence[str]) -> Sequence[OwnedAccount | None]:
        if self.down:
            raise ChainUnavailable("nobody answers")
        found = [self.vm.svm.get_account(Pubkey.from_string(address)) for address in addresses]
        return [None if each is None else OwnedAccount(each.owner, bytes(each.data)) for each in found]

    async def described(self, collection: str) -> Described:
        return self.about

    async def trees_of(self, collection: str, most: int) -> Sequence[str]:
        return self.trees[:most]

    async def ask(self, address: Pubkey, wallet: Pubkey, *trees: Pubkey, **fields: Any) -> Message[Any] | None:
        """Have the collection imported by the minter of `wallet`; return how that ended, None if it has not."""
        request = CollectionImportRequested(
            collection=COLLECTION,
            collection_address=str(address),
            tree_addresses=tuple(str(tree) for tree in trees),
            **fields,
        )
        await self.log.publish(request, cause=None)
        message = await self.log.last(CollectionImportRequested, collection=COLLECTION)
        assert message is not None
        await Importing(self.log, self, self, wallet).on_requested(message)
        ends = [await self.log.last(kind, collection=COLLECTION) for kind in (CollectionCreated, CollectionFailed)]
        return max(filter(None, ends), key=lambda end: end.sequence, default=None)

    async def created(self, address: Pubkey, wallet: Pubkey, *trees: Pubkey, **fields: Any) -> CollectionCreated:
        end = await self.ask(address, wallet, *trees, **fields)
        assert end is not None
        assert isinstance(end.data, CollectionCreated), end.data
        return end.data

    async def refused(self, address: Pubkey, wallet: Pubkey, *trees: Pubkey) -> CollectionFailed:
        end = await self.ask(address, wallet, *trees)
        assert end is not None
        assert isinstance(end.data, CollectionFailed), end.data
        assert end.data.reason.endswith(".")
        assert end.data.cure.endswith(".")
        return end.data


@pytest.fixture
def world() -> World:
    return World()


def ours(vm: Vm) -> Pubkey:
    """The wallet of our minter: the one that makes this world's trees."""
    return vm.payer.pubkey()


def core(vm: Vm, plugins: tuple[bytes, ...] = (b"\x0f\0",)) -> Pubkey:
    """An MPL-Core collection of our wallet."""
    key = Keypair()
    outcome = vm.send(core_collection_instruction(vm, key.pubkey(), plugins, ours(vm)), signers=(key,))
    assert outcome.error is None, outcome.logs
    return key.pubkey()


async def test_a_core_collection_with_the_trees_that_das_knows(world: World) -> None:
    address, tree, other = core(world.vm), BubblegumTree(world.vm, 2), BubblegumTree(world.vm, 2)
    minted = mint_v2(
        tree=tree.address,
        payer=ours(world.vm),
        leaf_owner=Keypair().pubkey(),
        metadata=metadata_v2(collection=address),
        core_collection=address,
    )
    tree.accept(world.vm.send(minted))
    world.trees = [str(tree.address), str(other.address), "no address", str(Keypair().pubkey())]
    world.about = Described(symbol="DAS", description="Off chain", image_uri="ipfs://image")
    found = await world.created(address, ours(world.vm), is_public=True)
    assert (found.standard, found.name, found.symbol, found.uri) == (
        Standard.V2,
        "Coll",
        "DAS",
        "https://example.com/c.json",
    )
    assert (found.collection_address, found.creator_address) == (str(address), str(ours(world.vm)))
    depth, buffer, canopy = tree.shape
    shape = TreeShape(max_depth=depth, max_buffer_size=buffer, canopy_depth=canopy)
    # The one with most room first.
    assert (found.tree_address, found.tree) == (str(other.address), shape)
    assert [(place.tree_address, place.tree) for place in found.more_trees] == [(str(tree.address), shape)]
    assert (found.minted_before, found.imported, found.signatures) == (1, True, ())
    assert (found.description, found.image_uri, found.is_public) == ("Off chain", "ipfs://image", True)


async def test_a_token_metadata_collection_with_named_trees(world: World) -> None:
    collection = TokenMetadataCollection.create(world.vm, world.vm.payer)
    tree = BubblegumTree(world.vm, 1)
    found = await world.created(collection.mint, ours(world.vm), tree.address, symbol="MINE")
    assert (found.standard, found.name, found.symbol) == (Standard.V1, "Bücher", "B"), "what is on chain counts"
    assert found.seller_fee_basis_points == 500
    assert (found.tree_address, found.more_trees, found.minted_before) == (str(tree.address), (), 0)


async def test_what_was_imported_can_be_minted_into(world: World) -> None:
    """The check allows what the program allows."""
    address, tree = core(world.vm), BubblegumTree(world.vm, 2)
    await world.created(address, ours(world.vm), tree.address)
    owner = Keypair().pubkey()
    tree.accept(
        world.vm.send(
            mint_v2(
                tree=tree.address,
                payer=ours(world.vm),
                leaf_owner=owner,
                metadata=metadata_v2(collection=address),
                core_collection=address,
            )
        )
    )
    collection, first = TokenMetadataCollection.create(world.vm, world.vm.payer), BubblegumTree(world.vm, 1)
    first.accept(
        world.vm.send(
            mint_to_collection_v1(
                tree=first.address,
                payer=ours(world.vm),
                tree_creator_or_delegate=ours(world.vm),
                collection_authority=ours(world.vm),
                collection_mint=collection.mint,
                leaf_owner=owner,
                metadata=metadata_v1(collection=collection.mint),
            )
        )
    )


def nothing(_vm: Vm) -> Pubkey:
    return Keypair().pubkey()


def a_tree(vm: Vm) -> Pubkey:
    return BubblegumTree(vm, 2).address


def bare_core(vm: Vm) -> Pubkey:
    return core(vm, ())


def royal_core(vm: Vm) -> Pubkey:
    return core(vm, (ROYALTIES,))


def others_core(vm: Vm) -> Pubkey:
    return CoreCollection.create(vm).address


def others_nft(vm: Vm) -> Pubkey:
    return TokenMetadataCollection.create(vm).mint


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (nothing, ImportFault.NOT_A_COLLECTION),
        (a_tree, ImportFault.NOT_A_COLLECTION),
        (ours, ImportFault.NOT_A_COLLECTION),
        (bare_core, ImportFault.PLUGIN_MISSING),
        (royal_core, ImportFault.PLUGIN_MISSING),
        (others_core, ImportFault.NOT_OUR_AUTHORITY),
        (others_nft, ImportFault.NOT_OUR_AUTHORITY),
        (core, ImportFault.NO_TREES),
    ],
)
async def test_refusals(world: World, address: Callable[[Vm], Pubkey], code: ImportFault) -> None:
    assert (await world.refused(address(world.vm), ours(world.vm))).code == code


async def test_bytes_of_a_collection_in_somebody_elses_account_are_none(world: World) -> None:
    real, fake = core(world.vm), Keypair().pubkey()
    world.vm.set_account(fake, world.vm.data(real), Keypair().pubkey())
    assert (await world.refused(fake, ours(world.vm))).code == ImportFault.NOT_A_COLLECTION


async def test_every_tree_that_is_named_has_to_do(world: World) -> None:
    address, good = core(world.vm), BubblegumTree(world.vm, 2)
    wrong_standard, too_deep = BubblegumTree(world.vm, 1), BubblegumTree(world.vm, 2, (20, 64, 3))
    for bad, says in (
        (Keypair().pubkey(), "no tree of Bubblegum"),
        (wrong_standard.address, "no tree of Bubblegum v2"),
        (too_deep.address, "could never be transferred"),
    ):
        failed = await world.refused(address, ours(world.vm), good.address, bad)
        assert failed.code == ImportFault.TREE_REFUSED
        assert says in failed.reason
        assert str(bad) in failed.reason


async def test_others_trees_do_not_do_unless_they_are_public(world: World) -> None:
    stranger = world.vm.wallet()
    key = Keypair()
    world.vm.send(core_collection_instruction(world.vm, key.pubkey(), authority=stranger.pubkey()), signers=(key,))
    closed, public = BubblegumTree(world.vm, 2), BubblegumTree(world.vm, 2, public=True)
    failed = await world.refused(key.pubkey(), stranger.pubkey(), closed.address)
    assert "may mint into it" in failed.reason
    assert (await world.created(key.pubkey(), stranger.pubkey(), public.address)).tree_address == str(public.address)


async def test_a_refused_import_can_be_asked_for_again_and_a_settled_one_stays(world: World) -> None:
    address = core(world.vm)
    await world.refused(address, ours(world.vm))
    tree = BubblegumTree(world.vm, 2)
    assert (await world.created(address, ours(world.vm), tree.address)).tree_address == str(tree.address)
    # The same message delivered again, by another worker.
    message = await world.log.last(CollectionImportRequested, collection=COLLECTION)
    assert message is not None
    before = len(world.log.streams["COLLECTION"])
    await Importing(world.log, world, world, ours(world.vm)).on_requested(message)
    assert len(world.log.streams["COLLECTION"]) == before


async def test_silence_decides_nothing(world: World) -> None:
    world.down = True
    with pytest.raises(RetryLater):
        await world.ask(core(world.vm), ours(world.vm))
    assert await world.log.last(CollectionFailed, collection=COLLECTION) is None


def test_accounts_that_are_cut_short_are_no_collections(world: World) -> None:
    whole = world.vm.data(core(world.vm, (b"\x0f\0", ROYALTIES)))
    assert CoreAccount.parse(whole).basis_points == 750
    mint = TokenMetadataCollection.create(world.vm).mint
    about = world.vm.data(metadata_address(mint))
    assert MetadataAccount.parse(about).mint == mint
    bare = len(world.vm.data(core(world.vm, ())))
    for size in set(range(len(whole))) - {bare}:  # without plugins it is whole
        with pytest.raises(DecodeError):
            CoreAccount.parse(whole[:size])
    for size in range(200):
        with pytest.raises(DecodeError):
            MetadataAccount.parse(about[:size])


class TestDas:
    @asynccontextmanager
    async def das(self, *answers: Any) -> AsyncGenerator[tuple[Das, list[dict[str, Any]]]]:
        """A client of an endpoint that gives these answers in order, and what it was asked."""
        asked: list[dict[str, Any]] = []
        left = list(answers)

        def handle(request: httpx.Request) -> httpx.Response:
            asked.append(json.loads(request.content))
            answer = left.pop(0)
            return httpx.Response(200, text=answer) if isinstance(answer, str) else httpx.Response(200, json=answer)

        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
            yield Das(http, "https://das.example/?key=secret"), asked

    async def test_trees_are_those_of_the_assets_each_once(self) -> None:
        page = [{"compression": {"tree": f"tree {number % 2}"}} for number in range(PAGE)]
        last = [{"compression": {"tree": "tree 2"}}, {"compression": {"tree": ""}}, {}]
        async with self.das({"result": {"items": page}}, {"result": {"items": last}}) as (das, asked):
            assert await das.trees_of("collection", 10) == ["tree 0", "tree 1", "tree 2"]
        assert [each["params"]["page"] for each in asked] == [1, 2]

    async def test_what_it_does_not_know_is_empty(self) -> None:
        error = {"error": {"code": -32000, "message": "Asset Not Found"}}
        async with self.das(error, error, {"result": {"content": None}}) as (das, _):
            assert await das.described("collection") == Described()
            assert await das.trees_of("collection", 10) == []
            assert await das.described("collection") == Described()

    async def test_no_answer_is_told_without_the_url(self) -> None:
        async with self.das("<html>") as (das, _):
            with pytest.raises(ChainUnavailable) as raised:
                await das.described("collection")
        assert "secret" not in str(raised.value)
