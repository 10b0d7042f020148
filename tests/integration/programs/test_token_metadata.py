"""The token metadata stand-in: the accounts of a collection NFT byte for byte, and what is refused."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import collections, pda
from bubblegum.programs import TOKEN_METADATA
from bubblegum.types import Creator
from tests.support.bubblegum_vm import TokenMetadataCollection, bubblegum_vm, replaced, with_data
from tests.support.vm import Vm

CREATE_FEE = 10_000_000
"""Lamports, by the protocol's published fee table."""
OWNER = Keypair().pubkey()
OTHER = Keypair().pubkey()


@pytest.fixture(scope="module")
def vm() -> Vm:
    return bubblegum_vm()


@pytest.fixture
def mint(vm: Vm) -> Pubkey:
    """A mint of the payer with one token and no metadata yet."""
    return minted(vm, 1)


def minted(vm: Vm, amount: int, decimals: int = 0, *, freezable: bool = True) -> Pubkey:
    keypair, payer = Keypair(), vm.payer.pubkey()
    first, _, token, issue, *_ = collections.create_token_metadata_collection(
        payer=payer,
        mint=keypair.pubkey(),
        authority=payer,
        mint_lamports=vm.svm.minimum_balance_for_rent_exemption(collections.MINT_ACCOUNT_BYTES),
        name="",
        symbol="",
        uri="",
        seller_fee_basis_points=0,
    )
    initialize = collections.initialize_mint(mint=keypair.pubkey(), authority=payer)
    freeze = bytes(initialize.data)[34:] if freezable else b"\0"
    initialize = with_data(initialize, bytes([20, decimals]) + bytes(payer) + freeze)
    issue = with_data(issue, b"\7" + struct.pack("<Q", amount))
    outcome = vm.send(first, initialize, token, issue, signers=(keypair,))
    assert outcome.error is None, outcome.logs
    return keypair.pubkey()


def metadata(
    vm: Vm,
    mint: Pubkey,
    *,
    name: str = "Bücher",
    symbol: str = "B",
    uri: str = "https://example.com/c.json",
    fee: int = 500,
    creators: Sequence[Creator] = (),
) -> Instruction:
    return collections.create_metadata_account_v3(
        payer=vm.payer.pubkey(),
        mint=mint,
        authority=vm.payer.pubkey(),
        name=name,
        symbol=symbol,
        uri=uri,
        seller_fee_basis_points=fee,
        creators=creators,
    )


def edition(vm: Vm, mint: Pubkey) -> Instruction:
    return collections.create_master_edition_v3(payer=vm.payer.pubkey(), mint=mint, authority=vm.payer.pubkey())


def padded(text: str, length: int) -> bytes:
    return struct.pack("<I", length) + text.encode().ljust(length, b"\0")


def account_of(vm: Vm, mint: Pubkey, token_standard: int, creators: Sequence[Creator] = ()) -> bytes:
    """The Metadata account as the public clients read it, without its unused end."""
    authority = bytes(vm.payer.pubkey())
    listed = b"".join(bytes(each.address) + bytes([each.verified, each.share]) for each in creators)
    seeds = [b"metadata", bytes(TOKEN_METADATA), bytes(mint), b"edition"]
    _, edition_bump = Pubkey.find_program_address(seeds, TOKEN_METADATA)
    return b"".join(
        (
            b"\4" + authority + bytes(mint),
            padded("Bücher", 32) + padded("B", 10) + padded("https://example.com/c.json", 200),
            struct.pack("<H", 500),
            b"\1" + struct.pack("<I", len(creators)) + listed if creators else b"\0",
            b"\0\1",  # primary sale not happened, mutable
            bytes([1, edition_bump, 1, token_standard]),
            b"\0\0",  # no collection, no uses
            b"\1\0" + bytes(8),  # collection details V1, size 0
            b"\0",  # no programmable config
        )
    )


# ---- CreateMetadataAccountV3 ----


def test_metadata_is_padded_and_pays_its_fee(vm: Vm, mint: Pubkey) -> None:
    creators = (Creator(vm.payer.pubkey(), True, 60), Creator(OWNER, False, 40))
    assert vm.send(metadata(vm, mint, creators=creators)).error is None
    data = vm.data(pda.metadata(mint))
    expected = account_of(vm, mint, token_standard=1, creators=creators)
    assert data == expected.ljust(606, b"\0") + b"\1"
    rent = vm.svm.minimum_balance_for_rent_exemption(607)
    assert vm.lamports(pda.metadata(mint)) == rent + CREATE_FEE


def test_a_mint_with_decimals_is_fungible(vm: Vm) -> None:
    mint = minted(vm, 1000, decimals=6)
    assert vm.send(metadata(vm, mint)).error is None
    assert vm.data(pda.metadata(mint)).startswith(account_of(vm, mint, token_standard=2))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"name": "n" * 33}, 11),
        ({"symbol": "s" * 11}, 12),
        ({"uri": "u" * 201}, 13),
        ({"fee": 10_001}, 41),
        ({"creators": [Creator(Keypair().pubkey(), False, 1) for _ in range(6)]}, 36),
        ({"creators": [Creator(OWNER, False, 99)]}, 45),
        ({"creators": [Creator(OWNER, True, 100)]}, 54),
        ({"creators": [Creator(OWNER, False, 50), Creator(OWNER, False, 50)]}, 60),
    ],
)
def test_metadata_that_is_refused(vm: Vm, mint: Pubkey, changed: dict[str, object], error: int) -> None:
    built = metadata(vm, mint, **changed)  # pyright: ignore[reportArgumentType] - keywords of this module's function
    assert vm.send(built).error == error
    assert vm.svm.get_account(pda.metadata(mint)) is None


def test_creators_that_are_an_empty_list(vm: Vm, mint: Pubkey) -> None:
    data = bytes(metadata(vm, mint).data)
    fee = data.index(struct.pack("<H", 500)) + 2
    assert vm.send(with_data(metadata(vm, mint), data[:fee] + b"\1\0\0\0\0" + data[fee + 1 :])).error == 37


def test_metadata_accounts_that_are_not_what_they_should_be(vm: Vm, mint: Pubkey) -> None:
    built, stranger, other = metadata(vm, mint), vm.wallet(), minted(vm, 1)
    assert vm.send(replaced(built, 0, pda.metadata(other))).error == 5
    assert vm.send(replaced(built, 2, stranger.pubkey()), signers=(stranger,)).error == 10
    assert vm.send(replaced(built, 5, OWNER)).error == 126
    assert "InvalidInstructionData" in str(vm.send(with_data(built, bytes(built.data)[:-1])).error)
    assert vm.send(built).error is None
    assert vm.send(built).error == 3
    not_a_mint = metadata(vm, pda.metadata(mint))
    assert vm.send(not_a_mint).error == 57


# ---- CreateMasterEditionV3 ----


def test_the_edition_takes_the_mints_authorities(vm: Vm, mint: Pubkey) -> None:
    assert vm.send(metadata(vm, mint), edition(vm, mint)).error is None
    address = pda.master_edition(mint)
    # key, supply 0, Some(max supply 0), token standard NonFungible, no fee
    assert vm.data(address) == b"\6" + bytes(8) + b"\1" + bytes(8) + b"\0\0"
    assert vm.lamports(address) == vm.svm.minimum_balance_for_rent_exemption(20)
    assert vm.data(pda.metadata(mint)).startswith(account_of(vm, mint, token_standard=0))
    mint_data = vm.data(mint)
    assert mint_data[:36] == b"\1\0\0\0" + bytes(address)
    assert mint_data[46:82] == b"\1\0\0\0" + bytes(address)
    more = collections.mint_token(mint=mint, owner=vm.payer.pubkey(), authority=vm.payer.pubkey(), amount=1)
    assert vm.send(more).error == 4  # the token program: the owner does not match


@pytest.mark.parametrize(
    ("amount", "decimals", "freezable", "error"),
    [(0, 0, True, 16), (2, 0, True, 16), (1, 1, True, 24), (1, 0, False, 130)],
)
def test_mints_that_are_no_nfts(vm: Vm, amount: int, decimals: int, freezable: bool, error: int) -> None:
    mint = minted(vm, amount, decimals, freezable=freezable)
    assert vm.send(metadata(vm, mint)).error is None
    assert vm.send(edition(vm, mint)).error == error
    assert vm.svm.get_account(pda.master_edition(mint)) is None


def test_edition_accounts_that_are_not_what_they_should_be(vm: Vm, mint: Pubkey) -> None:
    built, stranger, other = edition(vm, mint), vm.wallet(), minted(vm, 1)
    assert vm.send(built).error == 57  # no metadata yet
    assert vm.send(metadata(vm, mint)).error is None
    assert vm.send(replaced(built, 0, pda.master_edition(other))).error == 6
    assert vm.send(replaced(built, 5, pda.metadata(other))).error == 5
    assert vm.send(replaced(built, 2, stranger.pubkey()), signers=(stranger,)).error == 7
    assert vm.send(replaced(built, 3, stranger.pubkey()), signers=(stranger,)).error == 10
    assert vm.send(replaced(built, 6, OWNER)).error == 62
    assert vm.send(replaced(built, 7, OWNER)).error == 126
    assert vm.send(built).error is None
    assert vm.send(built).error == 10  # the edition has the authority now


# ---- BubblegumSetCollectionSize, and what is not there ----


def set_size(collection: TokenMetadataCollection, signer: Pubkey, *, signs: bool) -> Instruction:
    return Instruction(
        TOKEN_METADATA,
        b"\x24" + struct.pack("<Q", 7),
        [
            AccountMeta(pda.metadata(collection.mint), is_signer=False, is_writable=True),
            AccountMeta(collection.authority.pubkey(), is_signer=True, is_writable=False),
            AccountMeta(collection.mint, is_signer=False, is_writable=False),
            AccountMeta(signer, is_signer=signs, is_writable=False),
        ],
    )


def test_only_bubblegum_sets_the_size(vm: Vm) -> None:
    collection = TokenMetadataCollection.create(vm)
    before, stranger = vm.data(pda.metadata(collection.mint)), vm.wallet()
    by_stranger = set_size(collection, stranger.pubkey(), signs=True)
    assert vm.send(by_stranger, signers=(collection.authority, stranger)).error == 132
    unsigned = set_size(collection, pda.bubblegum_signer(), signs=False)
    assert "MissingRequiredSignature" in str(vm.send(unsigned, signers=(collection.authority,)).error)
    assert vm.data(pda.metadata(collection.mint)) == before


def test_an_instruction_that_the_stand_in_lacks(vm: Vm, mint: Pubkey) -> None:
    outcome = vm.send(with_data(metadata(vm, mint), bytes([15])))
    assert "InvalidInstructionData" in str(outcome.error)
    assert any("stand-in does not implement" in line for line in outcome.logs)
