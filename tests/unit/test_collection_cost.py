"""The estimate of a collection's cost against what making it really takes from the wallet, on the stand-in programs."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum.collections import MINT_ACCOUNT_BYTES
from bubblegum.lookup_tables import create_table
from bubblegum.merkle import tree_account_size
from contracts.collection import CollectionRequested, Standard
from services.gateway.estimates import URI_BYTES, Estimate, estimate
from services.gateway.requests import EstimateBody, read_body
from services.minter.plan import collection_instructions, table_addresses, tree_instructions
from tests.support.bubblegum_vm import bubblegum_vm
from tests.support.vm import Vm

NAME = "Bücher"


def spent(vm: Vm, standard: Standard, expected: Estimate) -> int:
    """Make the collection with its trees and tables as the minter does; return the lamports that it took."""
    wallet, collection = vm.payer.pubkey(), Keypair()
    before = vm.lamports(wallet)
    request = CollectionRequested(collection=UUID(int=1), name=NAME, symbol="B", standard=standard)
    rent = vm.svm.minimum_balance_for_rent_exemption(MINT_ACCOUNT_BYTES)
    landed(vm, collection_instructions(request, "u" * URI_BYTES, collection.pubkey(), wallet, rent), collection)
    for _ in range(expected.trees):
        tree = Keypair()
        shape = expected.shape
        size = tree_account_size(shape.max_depth, shape.max_buffer_size, shape.canopy_depth)
        rent = vm.svm.minimum_balance_for_rent_exemption(size)
        landed(vm, tree_instructions(standard, shape, tree.pubkey(), wallet, rent), tree)
        make_table(vm, table_addresses(standard, collection.pubkey(), tree.pubkey(), wallet))
    return before - vm.lamports(wallet)


def landed(vm: Vm, work: Sequence[Instruction], signer: Keypair) -> None:
    outcome = vm.send(*work, signers=(signer,))
    assert outcome.error is None, outcome.logs


def make_table(vm: Vm, addresses: tuple[Pubkey, ...]) -> None:
    authority, now = Keypair(), vm.svm.get_clock().slot
    vm.svm.set_slot_hashes([(now - 1, Hash.new_unique())])
    made = create_table(authority=authority.pubkey(), payer=vm.payer.pubkey(), recent_slot=now - 1, addresses=addresses)
    landed(vm, made, authority)


@pytest.mark.parametrize("standard", list(Standard))
@pytest.mark.parametrize("trees", [1, 2])
def test_the_estimate_is_what_it_takes(standard: Standard, trees: int) -> None:
    body = read_body(EstimateBody, {"name": NAME, "standard": standard.value, "tree": {"maxDepth": 5}, "trees": trees})
    expected = estimate(body)
    assert spent(bubblegum_vm(), standard, expected) == expected.total
