"""Secrets at rest: what is stored shows nothing, and opens with its key alone."""

import pytest
from cryptography.fernet import Fernet

from chassis.redaction import Secret
from chassis.sealing import Sealer, Unsealable

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = Secret("whsec_c2VjcmV0")


def test_what_was_sealed_is_opened_and_does_not_show() -> None:
    sealer = Sealer(Secret(OLD))
    sealed = sealer.seal(SECRET)
    assert sealer.open(sealed) == SECRET
    assert "c2VjcmV0" not in sealed
    assert sealer.seal(SECRET) != sealed, "equal secrets cannot be told"


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    sealed = Sealer(Secret(OLD)).seal(SECRET)
    both = Sealer(Secret(f"{NEW}, {OLD}"))
    assert both.open(sealed) == SECRET
    assert Sealer(Secret(NEW)).open(both.seal(SECRET)) == SECRET


def test_another_key_or_another_text_opens_nothing() -> None:
    sealed = Sealer(Secret(OLD)).seal(SECRET)
    for key, text in ((NEW, sealed), (OLD, sealed[:-4] + "AAA="), (OLD, "nonsense"), (OLD, "ä")):
        with pytest.raises(Unsealable):
            Sealer(Secret(key)).open(text)


@pytest.mark.parametrize("key", ["", " , ", "short", f"{NEW},short"], ids=["empty", "blanks", "short", "second short"])
def test_what_is_no_key_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(ValueError, match="32 bytes") as refused:
        Sealer(Secret(key))
    assert "short" not in str(refused.value)
