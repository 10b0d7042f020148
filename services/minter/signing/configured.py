"""The signer that the settings describe. Used by the composition root; says in a sentence what is wrong with them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from chassis.settings import Secret
from services.minter.settings import MinterSettings
from services.minter.signer import Signer
from services.minter.signing.keys import Key, KeyRefused, LocalKey, check_key_file, read_keypair, read_list
from services.minter.signing.policy import Policy
from services.minter.signing.remote import RemoteKey

KEY_FILES: Final = ("PRIVATE_KEY_FILE", "FEE_PAYERS_FILE", "DERIVATION_SEED_FILE", "REMOTE_SIGNER_TOKEN_FILE")
"""Variables that name files which nobody else may read."""
MAX_FEE_PAYERS: Final = 64
ADDRESS_CHARACTERS: Final = 44
"""Most characters of an address in base58; a keypair has twice as many."""


def configured_key(settings: MinterSettings, environ: Mapping[str, str] = os.environ) -> Key:
    """Return the wallet's key, here or elsewhere; raises KeyRefused."""
    for variable in KEY_FILES:
        if environ.get(variable):
            check_key_file(variable, Path(environ[variable]))
    if settings.remote_signer_url is None:
        if settings.private_key is None:
            raise KeyRefused("neither PRIVATE_KEY (or PRIVATE_KEY_FILE) nor REMOTE_SIGNER_URL is set")
        return LocalKey(read_keypair(settings.private_key))
    if settings.private_key is not None:
        raise KeyRefused("PRIVATE_KEY and REMOTE_SIGNER_URL are both set: the wallet's key is in one place")
    if settings.remote_signer_address is None:
        raise KeyRefused("REMOTE_SIGNER_ADDRESS is missing: which wallet REMOTE_SIGNER_URL signs for")
    return RemoteKey.configured(
        settings.remote_signer_url,
        settings.remote_signer_token,
        settings.remote_signer_address,
        settings.remote_signer_timeout_ms / 1000,
    )


def configured_payers(settings: MinterSettings) -> list[Key]:
    """Return the keys of the further fee payers, here or elsewhere; raises KeyRefused."""
    if settings.fee_payers is None:
        return []
    listed = read_list(settings.fee_payers, "FEE_PAYERS")
    if len(listed) > MAX_FEE_PAYERS:
        raise KeyRefused(f"FEE_PAYERS names {len(listed)} wallets, the most is {MAX_FEE_PAYERS}")
    return [_payer(settings, each) for each in listed]


def _payer(settings: MinterSettings, secret: Secret) -> Key:
    text = secret.reveal()
    if settings.remote_signer_url is None or text.startswith("[") or len(text) > ADDRESS_CHARACTERS:
        return LocalKey(read_keypair(secret, "each of FEE_PAYERS"))
    return RemoteKey.configured(
        settings.remote_signer_url,
        settings.remote_signer_token,
        text,
        settings.remote_signer_timeout_ms / 1000,
        "each of FEE_PAYERS",
    )


def configured_signer(settings: MinterSettings, key: Key, payers: Sequence[Key] = ()) -> Signer:
    """Return the signer for the keys of the wallet and of further fee payers; raises KeyRefused."""
    policy = Policy(max_fee=settings.signer_max_fee_lamports, max_spend=settings.signer_max_spend_lamports)
    return Signer(key, seed=settings.derivation_seed, policy=policy, payers=payers)
