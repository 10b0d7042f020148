"""Key custody: what is accepted as a key, what is derived from it, and that it never shows."""

import json
import traceback
from pathlib import Path

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer

from bubblegum.programs import MPL_ACCOUNT_COMPRESSION
from chassis.settings import Secret
from services.minter.signer import KeyRefused, MessageRefused, Signer, unsigned
from services.minter.signing.keys import check_key_file, read_keypair

WALLET = Keypair.from_seed(bytes(range(32)))
SEED = Secret("a seed of at least thirty-two bytes, for tests")


class ElsewhereKey:
    """A key that is not in this process, as far as the signer can tell."""

    pubkey = WALLET.pubkey()

    async def sign(self, message: bytes) -> Signature:
        return WALLET.sign_message(message)


def creating(*accounts: Pubkey) -> list[Instruction]:
    return [
        create_account(
            CreateAccountParams(
                from_pubkey=WALLET.pubkey(), to_pubkey=each, lamports=1, space=0, owner=MPL_ACCOUNT_COMPRESSION
            )
        )
        for each in accounts
    ]


def message(*accounts: Pubkey) -> MessageV0:
    return MessageV0.try_compile(WALLET.pubkey(), creating(*accounts), [], Hash.default())


@pytest.mark.parametrize("text", [str(WALLET), f"  {WALLET}\n", json.dumps(list(bytes(WALLET)))])
def test_both_forms_of_a_key_are_read(text: str) -> None:
    assert read_keypair(Secret(text)) == WALLET


@pytest.mark.parametrize(
    "text", ["", "0OIl", str(WALLET)[:-3], "[1, 2, 3]", "[300]", "{}", '["a"]', "[[]]", "[" * 20_000]
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(KeyRefused) as refused:
        read_keypair(Secret(text))
    shown = "".join(traceback.format_exception(refused.value))
    assert "PRIVATE_KEY" in shown
    assert len(text) < 8 or text not in shown


def test_the_key_is_in_no_text_of_the_signer() -> None:
    signer = Signer(WALLET)
    assert str(WALLET) not in f"{signer!r} {signer}"


def test_derived_addresses_are_stable_and_apart() -> None:
    signer, again = Signer(WALLET), Signer(Keypair.from_bytes(bytes(WALLET)))
    other = Signer(Keypair.from_seed(bytes(32)))
    addresses = {signer.derived_address(purpose) for purpose in ("collection:1:tree", "collection:1:asset", "")}
    assert len(addresses | {other.derived_address("collection:1:tree"), signer.pubkey}) == 5
    assert again.derived_address("collection:1:tree") == signer.derived_address("collection:1:tree")


def test_a_derived_address_does_not_change_between_releases() -> None:
    """Trees that are on chain were signed for with it: another derivation would orphan half-made collections."""
    assert str(Signer(WALLET).derived_address("collection:1:tree")) == "BJcNRZRGGd1Kz6JnSpQVpeFj9YWU2XRmK9ZCtFZuL6R8"


def test_a_seed_of_its_own_takes_the_place_of_the_wallets_key() -> None:
    here, elsewhere = Signer(WALLET, seed=SEED), Signer(ElsewhereKey(), seed=SEED)
    assert here.derived_address("a") == elsewhere.derived_address("a") != Signer(WALLET).derived_address("a")


def test_without_the_wallets_key_a_seed_is_demanded() -> None:
    with pytest.raises(KeyRefused, match="DERIVATION_SEED is missing"):
        Signer(ElsewhereKey())
    with pytest.raises(KeyRefused, match="shorter than 32 bytes"):
        Signer(ElsewhereKey(), seed=Secret("x" * 31))


async def test_wallet_and_derived_keys_sign_what_they_are_asked_to() -> None:
    for signer in (Signer(WALLET), Signer(ElsewhereKey(), seed=SEED)):
        addresses = [signer.derived_address("a"), signer.derived_address("b")]
        signed = await signer.sign(message(*addresses), ["b", "a"])
        assert signed.verify_with_results() == [True, True, True]


async def test_a_message_that_wants_other_signers_is_refused() -> None:
    signer = Signer(WALLET)
    with pytest.raises(ValueError, match="other signers"):
        await signer.sign(message(signer.derived_address("a")), ["b"])
    with pytest.raises(ValueError, match="other signers"):
        await signer.sign(message(signer.derived_address("a")), ["a", "b"])


async def test_nothing_is_signed_that_the_policy_forbids() -> None:
    signer = Signer(WALLET)
    theft = transfer(TransferParams(from_pubkey=WALLET.pubkey(), to_pubkey=Pubkey.new_unique(), lamports=1))
    with pytest.raises(MessageRefused, match="none of our wallets"):
        await signer.sign(MessageV0.try_compile(WALLET.pubkey(), [theft], [], Hash.default()))


def test_a_simulation_carries_as_many_signatures_as_the_message_wants_and_none_is_one() -> None:
    transaction = unsigned(message(Pubkey.new_unique()))
    assert transaction.verify_with_results() == [False, False]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_file_of_our_own_is_taken(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.touch()
    path.chmod(mode)
    check_key_file("PRIVATE_KEY_FILE", path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o601])
def test_a_key_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.touch()
    path.chmod(mode)
    with pytest.raises(KeyRefused, match="chmod 600"):
        check_key_file("PRIVATE_KEY_FILE", path)


@pytest.mark.parametrize(("mode", "taken"), [(0o440, True), (0o640, True), (0o660, False), (0o444, False)])
def test_a_mounted_secret_of_another_user_may_be_readable_by_our_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, taken: bool
) -> None:
    path = tmp_path / "key"
    path.touch()
    path.chmod(mode)
    ours = path.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: ours + 1)
    if taken:
        check_key_file("PRIVATE_KEY_FILE", path)
    else:
        with pytest.raises(KeyRefused):
            check_key_file("PRIVATE_KEY_FILE", path)


def test_a_key_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyRefused, match="No such file"):
        check_key_file("PRIVATE_KEY_FILE", tmp_path / "none")
