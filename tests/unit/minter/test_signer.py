"""Key custody: what is accepted as a key, what is derived from it, and that it never shows."""

import json
import traceback

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from chassis.settings import Secret
from services.minter.signer import KeyRefused, Signer

WALLET = Keypair.from_seed(bytes(range(32)))


def message(*signers: Pubkey) -> MessageV0:
    work = [transfer(TransferParams(from_pubkey=each, to_pubkey=WALLET.pubkey(), lamports=1)) for each in signers]
    return MessageV0.try_compile(WALLET.pubkey(), work, [], Hash.default())


@pytest.mark.parametrize("text", [str(WALLET), f"  {WALLET}\n", json.dumps(list(bytes(WALLET)))])
def test_both_forms_of_a_key_are_read(text: str) -> None:
    assert Signer.from_secret(Secret(text)).pubkey == WALLET.pubkey()


@pytest.mark.parametrize("text", ["", "0OIl", str(WALLET)[:-3], "[1, 2, 3]", "[300]", "{}", '["a"]', "[[]]"])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(KeyRefused) as refused:
        Signer.from_secret(Secret(text))
    shown = "".join(traceback.format_exception(refused.value))
    assert "PRIVATE_KEY" in shown
    assert len(text) < 8 or text not in shown


def test_the_key_is_in_no_text_of_the_signer() -> None:
    signer = Signer.from_secret(Secret(str(WALLET)))
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


def test_wallet_and_derived_keys_sign_what_they_are_asked_to() -> None:
    signer = Signer(WALLET)
    signed = signer.sign(message(signer.derived_address("a")), ["a"])
    assert signed.verify_with_results() == [True, True]


def test_a_message_that_wants_other_signers_is_refused() -> None:
    signer = Signer(WALLET)
    with pytest.raises(ValueError, match="other signers"):
        signer.sign(message(signer.derived_address("a")), ["b"])
