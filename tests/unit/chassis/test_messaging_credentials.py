"""Reading .creds files: what is taken, and what is said of what is not."""

import base64

import pytest

from chassis.messaging_credentials import UnusableCredentials, UserCredentials
from tests.support.nats_operator import ACCOUNT, USER, Key

JWT = "head.claims.signature"


def creds(seed: str, jwt: str = JWT) -> str:
    """As `nsc` writes them."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n\n"
    )


# https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth
DOCUMENTED = (
    "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
    "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
)


def test_a_seed_of_the_documentation_is_the_key_that_it_names() -> None:
    seed, public = DOCUMENTED
    credentials = UserCredentials.parse(creds(seed))
    assert credentials.jwt == JWT.encode()
    verifier = credentials._key.public_key()  # pyright: ignore[reportPrivateUsage]
    assert verifier.public_bytes_raw() == base64.b32decode(public)[1:-2]
    verifier.verify(base64.b64decode(credentials.sign("nonce")), b"nonce")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no section NATS USER JWT"),
        (creds("").replace(JWT, ""), "no section NATS USER JWT"),
        (creds(""), "no section USER NKEY SEED"),
        (creds("not-a-seed!"), "not in base32"),
        (creds(Key(USER).seed[:-8]), "not whole"),
        (creds("SU" + "A" * 56), "not whole"),
        (creds(Key(ACCOUNT).seed), "not a user's"),
    ],
)
def test_what_is_no_creds_file_is_said_to_be_none(text: str, said: str) -> None:
    with pytest.raises(UnusableCredentials, match=said):
        UserCredentials.parse(text)


def test_nothing_of_the_seed_is_shown() -> None:
    seed = Key(USER).seed
    assert seed not in repr(UserCredentials.parse(creds(seed)))
    with pytest.raises(UnusableCredentials) as refused:
        UserCredentials.parse(creds(seed[:-1]))
    assert seed[:8] not in str(refused.value)
