"""Our encoders, the on-chain programs and our decoder in one circle, on the real runtime.

Instructions from `bubblegum` run as bytecode; what they leave behind is decoded, indexed by DAS and compared with the
accounts on chain: nothing on one side is taken from the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, permutations
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from bubblegum import collections, hashing, instructions, pda
from bubblegum.decode import Burned, Change, Minted, Transferred, TreeCreated, decode
from bubblegum.instructions import LeafProof
from bubblegum.leaf import LeafSchema, LeafSchemaV2
from bubblegum.merkle import ConcurrentMerkleTree, RootBuilder, TreeConfig, tree_account_size, verify_proof
from bubblegum.programs import MPL_ACCOUNT_COMPRESSION, SPL_ACCOUNT_COMPRESSION
from bubblegum.state import Fate, Place, fold, leaf_states
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction, nest
from bubblegum.types import Collection, Creator, MetadataArgs, MetadataArgsV2
from localnet.das import DasIndex
from tests.support.das_schema import ASSET, ASSET_LIST, PROOF, checked
from tests.support.leaves import without_heights
from tests.support.vm import Vm

DEPTH, BUFFER = 5, 8
MOST_ORDERS = 720
"""All orders of six transactions."""
PROGRAMS = (
    "bubblegum",
    "spl_account_compression",
    "mpl_account_compression",
    "spl_noop",
    "mpl_noop",
    "token_metadata",
    "mpl_core",
)


@dataclass
class Chain:
    """The runtime with all programs, and an index that sees every transaction."""

    vm: Vm = field(default_factory=lambda: Vm(*PROGRAMS))
    index: DasIndex = field(default_factory=DasIndex)
    slot: int = 0
    ran: list[ExecutedTransaction] = field(default_factory=list[ExecutedTransaction])

    @property
    def payer(self) -> Pubkey:
        return self.vm.payer.pubkey()

    def rent(self, size: int) -> int:
        return self.vm.svm.minimum_balance_for_rent_exemption(size)

    def run(self, *asked: Instruction, signers: Sequence[Keypair] = ()) -> list[Change]:
        """Run one transaction that must succeed; what it did."""
        self.slot += 1
        self.vm.svm.expire_blockhash()
        message = MessageV0.try_compile(
            self.payer, [set_compute_unit_limit(1_400_000), *asked], [], self.vm.svm.latest_blockhash()
        )
        signed = VersionedTransaction(message, [self.vm.payer, *signers])
        result = self.vm.svm.send_transaction(signed)
        assert not isinstance(result, FailedTransactionMetadata), (result.err(), result.meta().logs())
        keys: list[Pubkey] = list(message.account_keys)

        def ran(compiled: Any) -> ExecutedInstruction:
            program: int = compiled.program_id_index
            accounts = tuple(keys[at] for at in bytes(compiled.accounts))
            return ExecutedInstruction(keys[program], accounts, bytes(compiled.data))

        tops = zip(message.instructions, result.inner_instructions(), strict=True)
        nested = tuple(
            nest(ran(top), [(call.stack_height(), ran(call.instruction())) for call in calls]) for top, calls in tops
        )
        tx = ExecutedTransaction(str(signed.signatures[0]), self.slot, None, nested)
        self.ran.append(tx)
        self.index.apply(tx)
        return decode(tx)


@dataclass
class Tree:
    """A tree on the chain with what is expected of it."""

    chain: Chain
    version: int
    collection: Pubkey | None = None
    keypair: Keypair = field(default_factory=Keypair)
    leaves: dict[int, LeafSchema] = field(init=False)

    def __post_init__(self) -> None:
        self.leaves = {}

    @property
    def address(self) -> Pubkey:
        return self.keypair.pubkey()

    def create(self) -> TreeCreated:
        payer, size = self.chain.payer, tree_account_size(DEPTH, BUFFER)
        owner = SPL_ACCOUNT_COMPRESSION if self.version == 1 else MPL_ACCOUNT_COMPRESSION
        account = instructions.create_tree_account(
            payer=payer,
            tree=self.address,
            lamports=self.chain.rent(size),
            max_depth=DEPTH,
            max_buffer_size=BUFFER,
            compression_program=owner,
        )
        if self.version == 1:
            config = instructions.create_tree_config(
                payer=payer, tree=self.address, tree_creator=payer, max_depth=DEPTH, max_buffer_size=BUFFER
            )
        else:
            config = instructions.create_tree_config_v2(
                payer=payer, tree=self.address, max_depth=DEPTH, max_buffer_size=BUFFER
            )
        (created,) = self.chain.run(account, config, signers=[self.keypair])
        assert isinstance(created, TreeCreated)
        return created

    def mint_instruction(self, owner: Pubkey, name: str) -> Instruction:
        payer, uri = self.chain.payer, f"https://example.com/{name}.json"
        creators = (Creator(payer, True, 60), Creator(owner, False, 40))
        if self.version == 2:
            v2 = MetadataArgsV2(name, "É", uri, 500, creators=creators, collection=self.collection)
            return instructions.mint_v2(
                tree=self.address, payer=payer, leaf_owner=owner, metadata=v2, core_collection=self.collection
            )
        v1 = MetadataArgs(name, "É", uri, 500, creators=creators)
        if self.collection is None:
            return instructions.mint_v1(
                tree=self.address, payer=payer, tree_creator_or_delegate=payer, leaf_owner=owner, metadata=v1
            )
        return instructions.mint_to_collection_v1(
            tree=self.address,
            payer=payer,
            tree_creator_or_delegate=payer,
            collection_authority=payer,
            collection_mint=self.collection,
            leaf_owner=owner,
            metadata=replace(v1, collection=Collection(verified=False, key=self.collection)),
        )

    def mint(self, *minted: tuple[Pubkey, str]) -> list[Minted]:
        """Mint all of them in one transaction."""
        changes = self.chain.run(*(self.mint_instruction(owner, name) for owner, name in minted))
        landed = [change for change in changes if isinstance(change, Minted)]
        assert len(landed) == len(changes) == len(minted)
        for change in landed:
            self.leaves[change.leaf_index] = change.leaf.schema
        return landed

    def check_every_order(self, root: bytes) -> None:
        """All that ran, in every order, with stack heights and without, gives one state, whose leaves give the root."""
        told = [(decode(tx), Place(tx.slot, tx.signature)) for tx in self.chain.ran]
        states = [[state for change in changes for state in leaf_states(change, at)] for changes, at in told]
        states = [each for each in states if each]
        expected = fold(state for each in states for state in each)
        builder = RootBuilder(DEPTH)
        builder.extend([expected[self.address, index].leaf.value for index in range(len(expected))])
        assert builder.root() == root
        assert all(state.fate.value is not Fate.UNKNOWN for state in expected.values())
        for order in islice(permutations(states), MOST_ORDERS):
            assert fold(state for each in order for state in each) == expected
        for tx, (changes, _) in zip(self.chain.ran, told, strict=True):
            assert decode(replace(tx, instructions=tuple(map(without_heights, tx.instructions)))) == changes

    def proof(self, index: int) -> LeafProof:
        """A leaf's proof as DAS hands it out."""
        leaf = self.leaves[index]
        answer = checked(self.chain.index.handle("getAssetProof", {"id": str(leaf.id)}), PROOF)
        nodes = [Pubkey.from_string(node) for node in answer["proof"]]
        root = bytes(Pubkey.from_string(answer["root"]))
        return LeafProof(root, leaf.data_hash, leaf.creator_hash, leaf.nonce, index, nodes)

    def transfer(self, index: int, owner: Keypair, new_owner: Pubkey) -> Transferred:
        leaf = self.proof(index)
        if self.version == 1:
            asked = instructions.transfer(
                tree=self.address, leaf_owner=owner.pubkey(), new_leaf_owner=new_owner, leaf=leaf
            )
        else:
            asked = instructions.transfer_v2(
                tree=self.address,
                payer=self.chain.payer,
                authority=owner.pubkey(),
                leaf_owner=owner.pubkey(),
                new_leaf_owner=new_owner,
                leaf=leaf,
                core_collection=self.collection,
            )
        (change,) = self.chain.run(asked, signers=[owner])
        assert isinstance(change, Transferred)
        self.leaves[index] = change.leaf.schema
        return change

    def burn(self, index: int, owner: Keypair) -> Burned:
        leaf = self.proof(index)
        if self.version == 1:
            asked = instructions.burn(tree=self.address, leaf_owner=owner.pubkey(), leaf=leaf)
        else:
            asked = instructions.burn_v2(
                tree=self.address,
                payer=self.chain.payer,
                authority=owner.pubkey(),
                leaf_owner=owner.pubkey(),
                leaf=leaf,
                core_collection=self.collection,
            )
        (change,) = self.chain.run(asked, signers=[owner])
        assert isinstance(change, Burned)
        del self.leaves[index]
        return change

    def check(self, minted: int) -> None:
        """The accounts on chain, the decoded leaves and the index say the same."""
        account = ConcurrentMerkleTree.parse(self.chain.vm.data(self.address))
        config = TreeConfig.parse(self.chain.vm.data(pda.tree_config(self.address)))
        assert (account.num_leaves, config.num_minted) == (minted, minted)
        assert (config.total_mint_capacity, config.version) == (2**DEPTH, self.version)
        assert config.tree_creator == self.chain.payer
        assert self.chain.index.out_of_step(self.address) is None
        self.check_every_order(account.root)
        for index, leaf in self.leaves.items():
            proof = self.proof(index)
            assert proof.root == account.root
            assert verify_proof(account.root, leaf.hash(), [bytes(node) for node in proof.proof], index)


def _no_collection(_chain: Chain) -> None:
    return None


def _token_metadata_collection(chain: Chain) -> Pubkey:
    mint = Keypair()
    chain.run(
        *collections.create_token_metadata_collection(
            payer=chain.payer,
            mint=mint.pubkey(),
            authority=chain.payer,
            mint_lamports=chain.rent(collections.MINT_ACCOUNT_BYTES),
            name="Café",
            symbol="C",
            uri="https://example.com/c.json",
            seller_fee_basis_points=500,
        ),
        signers=[mint],
    )
    return mint.pubkey()


def _core_collection(chain: Chain) -> Pubkey:
    collection = Keypair()
    created = collections.create_core_collection(
        payer=chain.payer, collection=collection.pubkey(), name="Café", uri="https://example.com/c.json"
    )
    chain.run(created, signers=[collection])
    return collection.pubkey()


@pytest.mark.parametrize(
    ("version", "make_collection"),
    [(1, _no_collection), (1, _token_metadata_collection), (2, _no_collection), (2, _core_collection)],
)
def test_the_life_of_leaves(version: int, make_collection: Callable[[Chain], Pubkey | None]) -> None:
    chain = Chain()
    tree = Tree(chain, version, make_collection(chain))
    created = tree.create()
    assert created == TreeCreated(tree.address, chain.payer, DEPTH, BUFFER, False, version)
    owner, buyer = chain.vm.wallet(), chain.vm.wallet()
    first, second = tree.mint((owner.pubkey(), "Booth #1"), (buyer.pubkey(), "展位 2"))
    third = tree.mint((owner.pubkey(), "Booth #3"))[0]
    for index, change in enumerate((first, second, third)):
        assert change.metadata_matches
        assert (change.leaf_index, change.nonce, change.collection) == (index, index, tree.collection)
        assert change.asset_id == pda.asset_id(tree.address, index)
    schema = first.leaf.schema
    if isinstance(schema, LeafSchemaV2):
        assert schema.collection_hash == hashing.collection_hash(tree.collection)
        assert schema.asset_data_hash == hashing.asset_data_hash(None)
    tree.check(minted=3)

    moved = tree.transfer(0, owner, buyer.pubkey())
    assert (moved.previous_owner, moved.owner, moved.leaf_index) == (owner.pubkey(), buyer.pubkey(), 0)
    gone = tree.burn(2, owner)
    assert (gone.asset_id, gone.leaf_index) == (third.asset_id, 2)
    tree.check(minted=3)

    shown = checked(chain.index.handle("getAsset", {"id": str(first.asset_id)}), ASSET)
    assert shown["ownership"]["owner"] == str(buyer.pubkey())
    assert shown["content"]["metadata"]["name"] == "Booth #1"
    if tree.collection is not None:
        group = {"groupKey": "collection", "groupValue": str(tree.collection)}
        listed = checked(chain.index.handle("getAssetsByGroup", group), ASSET_LIST)
        assert {item["id"] for item in listed["items"]} == {str(first.asset_id), str(second.asset_id)}
        checked(chain.index.handle("getAsset", {"id": str(tree.collection)}), ASSET)


@pytest.mark.parametrize("version", [1, 2])
def test_a_full_tree(version: int) -> None:
    chain = Chain()
    tree = Tree(chain, version)
    tree.create()
    owner = chain.vm.wallet().pubkey()
    for number in range(0, 2**DEPTH, 2):
        tree.mint((owner, f"n{number}"), (owner, f"n{number + 1}"))
    tree.check(minted=2**DEPTH)
    account = ConcurrentMerkleTree.parse(chain.vm.data(tree.address))
    assert account.num_leaves == account.capacity
    assert account.sequence_number == 2**DEPTH
    assert account.recent_roots()[0] == account.root
    assert len(set(account.recent_roots())) == BUFFER
    assert chain.vm.send(tree.mint_instruction(owner, "too many")).error is not None
