"""The MPL-Core stand-in: collection accounts byte for byte, plugin rules, and who may count."""

from __future__ import annotations

import struct

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import collections
from bubblegum.programs import MPL_CORE, MPL_CORE_CPI_SIGNER
from tests.support.bubblegum_vm import CoreCollection, bubblegum_vm, core_collection_instruction, replaced, with_data
from tests.support.vm import Outcome, Vm

OWNER = Keypair().pubkey()
BUBBLEGUM_PLUGIN = b"\x0f\0"
ATTRIBUTES = b"\6" + struct.pack("<I", 1) + b"\1\0\0\0k\1\0\0\0v" + b"\0"
MASTER_EDITION = b"\x0a\0\0\0\0"
ADD_BLOCKER = b"\x0b\0"


@pytest.fixture(scope="module")
def vm() -> Vm:
    return bubblegum_vm()


def royalties(*shares: tuple[Pubkey, int], basis_points: int = 500) -> bytes:
    creators = b"".join(bytes(key) + bytes([share]) for key, share in shares)
    return b"\0" + struct.pack("<HI", basis_points, len(shares)) + creators + b"\0\0"


def create(vm: Vm, *plugins: bytes) -> tuple[Pubkey, Outcome]:
    collection = Keypair()
    built = core_collection_instruction(vm, collection.pubkey(), plugins)
    return collection.pubkey(), vm.send(built, signers=(collection,))


def base(update_authority: Pubkey) -> bytes:
    """The account without plugins, as the clients' CollectionV1 reads it."""
    text = b"".join(struct.pack("<I", len(part)) + part for part in (b"Coll", b"https://example.com/c.json"))
    return b"\5" + bytes(update_authority) + text + struct.pack("<II", 0, 0)


def test_a_collection_without_plugins_has_no_registry(vm: Vm) -> None:
    collection, outcome = create(vm)
    assert outcome.error is None
    assert vm.data(collection) == base(vm.payer.pubkey())
    account = vm.svm.get_account(collection)
    assert account is not None
    assert account.owner == MPL_CORE
    assert account.lamports == vm.svm.minimum_balance_for_rent_exemption(len(account.data))


def test_plugins_lie_between_header_and_registry(vm: Vm) -> None:
    delegate = Keypair().pubkey()
    to_delegate = b"\4\0\0\0\0\1\3" + bytes(delegate)  # UpdateDelegate for an address
    collection, outcome = create(vm, BUBBLEGUM_PLUGIN, ATTRIBUTES, to_delegate)
    assert outcome.error is None
    head = base(vm.payer.pubkey())
    bodies = [BUBBLEGUM_PLUGIN[:-1], ATTRIBUTES[:-1], b"\4\0\0\0\0"]
    offsets = [len(head) + 9 + sum(map(len, bodies[:index])) for index in range(len(bodies) + 1)]
    registry = b"\4" + struct.pack("<I", 3)
    registry += b"\x0f\2" + struct.pack("<Q", offsets[0])  # managed by the update authority
    registry += b"\6\2" + struct.pack("<Q", offsets[1])
    registry += b"\4\3" + bytes(delegate) + struct.pack("<Q", offsets[2])
    registry += struct.pack("<I", 0)  # external adapters
    header = b"\3" + struct.pack("<Q", offsets[3])
    assert vm.data(collection) == head + header + b"".join(bodies) + registry


def test_the_package_builds_what_the_program_reads(vm: Vm) -> None:
    collection, authority = Keypair(), Keypair().pubkey()
    built = collections.create_core_collection(
        payer=vm.payer.pubkey(),
        collection=collection.pubkey(),
        name="Coll",
        uri="https://example.com/c.json",
        update_authority=authority,
    )
    assert vm.send(built, signers=(collection,)).error is None
    assert vm.data(collection.pubkey()).startswith(base(authority))


def test_the_older_instruction_makes_the_same_collection(vm: Vm) -> None:
    collection = Keypair()
    newer = core_collection_instruction(vm, collection.pubkey())
    older = with_data(newer, b"\1" + bytes(newer.data)[1:-1])  # it has no external adapters
    assert vm.send(older, signers=(collection,)).error is None
    assert vm.data(collection.pubkey()).startswith(base(vm.payer.pubkey()))
    assert CoreCollection(collection.pubkey(), vm.payer).counts(vm) == (0, 0)


@pytest.mark.parametrize(
    ("plugins", "error"),
    [
        ((b"\1\0\0",), 8),  # FreezeDelegate is for assets
        ((b"\2\0",), 8),
        ((b"\3\0",), 8),
        ((b"\x09\1\0\0\0\0",), 8),  # so is Edition
        ((BUBBLEGUM_PLUGIN, BUBBLEGUM_PLUGIN), 15),
        ((BUBBLEGUM_PLUGIN, MASTER_EDITION), 50),
        ((ADD_BLOCKER, BUBBLEGUM_PLUGIN), 50),
        ((ADD_BLOCKER, MASTER_EDITION), None),
        ((royalties((OWNER, 100)),), None),
        ((royalties((OWNER, 99)),), 28),
        ((royalties((OWNER, 50), (OWNER, 50)),), 28),
        ((royalties((OWNER, 100), basis_points=10_001),), 28),
        ((b"\x10\0\0",), 23),  # not in the stand-in
    ],
)
def test_which_plugins_a_collection_may_have(vm: Vm, plugins: tuple[bytes, ...], error: int | None) -> None:
    collection, outcome = create(vm, *plugins)
    assert outcome.error == error
    assert (vm.svm.get_account(collection) is None) == (error is not None)


def test_accounts_and_data_that_are_not_what_they_should_be(vm: Vm) -> None:
    collection = Keypair()
    built = core_collection_instruction(vm, collection.pubkey())
    unsigned = replaced(built, 0, signer=False)
    assert "MissingRequiredSignature" in str(vm.send(unsigned).error)
    assert vm.send(replaced(built, 3, OWNER), signers=(collection,)).error == 0
    for length in range(len(bytes(built.data))):
        outcome = vm.send(with_data(built, bytes(built.data)[:length]), signers=(collection,))
        assert "InvalidInstructionData" in str(outcome.error)
    with_adapter = with_data(built, bytes(built.data)[:-1] + b"\1\1\0\0\0")
    assert vm.send(with_adapter, signers=(collection,)).error == 23
    assert vm.send(built, signers=(collection,)).error is None
    again = vm.send(built, signers=(collection,))
    assert again.error == 0  # the system program: the account is in use


def test_an_instruction_that_the_stand_in_lacks(vm: Vm) -> None:
    collection = Keypair()
    transfer_v1 = with_data(core_collection_instruction(vm, collection.pubkey()), b"\x0e\0")
    outcome = vm.send(transfer_v1, signers=(collection,))
    assert "InvalidInstructionData" in str(outcome.error)
    assert any("stand-in does not implement" in line for line in outcome.logs)


# ---- counting ----


def count(collection: Pubkey, signer: Pubkey, *, signs: bool, update: int = 0) -> Instruction:
    return Instruction(
        MPL_CORE,
        bytes([32, update]) + struct.pack("<I", 1),
        [
            AccountMeta(collection, is_signer=False, is_writable=True),
            AccountMeta(signer, is_signer=signs, is_writable=False),
        ],
    )


def test_only_bubblegum_counts(vm: Vm) -> None:
    collection = CoreCollection.create(vm)
    stranger = vm.wallet()
    assert vm.send(count(collection.address, stranger.pubkey(), signs=True), signers=(stranger,)).error == 9
    by_owner = count(collection.address, collection.authority.pubkey(), signs=True)
    assert vm.send(by_owner, signers=(collection.authority,)).error == 9
    unsigned = count(collection.address, MPL_CORE_CPI_SIGNER, signs=False)
    assert "MissingRequiredSignature" in str(vm.send(unsigned).error)
    assert collection.counts(vm) == (0, 0)
