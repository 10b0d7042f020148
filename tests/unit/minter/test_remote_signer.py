"""A remote signer: what it is asked, what is believed of its answers, and what never shows."""

import base64
import json
import traceback
from collections.abc import Callable

import httpx
import pytest
from solders.keypair import Keypair

from chassis.settings import Secret, load
from services.minter.settings import MinterSettings
from services.minter.signer import KeyRefused, MessageRefused, SignerUnavailable
from services.minter.signing.configured import configured_key, configured_signer
from services.minter.signing.remote import MAX_ANSWER_BYTES, RemoteKey
from tests.support.proxies import Proxy

WALLET = Keypair()
URL = "https://signer.example/sign/path-key"
TOKEN = "token-that-never-shows"
MESSAGE = b"the bytes of a message"
ENVIRONMENT = {"NATS_URL": "nats://127.0.0.1:4222", "RPC_URL": "http://127.0.0.1:8899"}
REMOTE = {"REMOTE_SIGNER_URL": URL, "REMOTE_SIGNER_ADDRESS": str(WALLET.pubkey())}
SEED = {"DERIVATION_SEED": "x" * 32}


def key(answer: Callable[[httpx.Request], httpx.Response]) -> RemoteKey:
    return RemoteKey(httpx.AsyncClient(transport=httpx.MockTransport(answer)), URL, WALLET.pubkey())


def signing(request: httpx.Request) -> httpx.Response:
    message = base64.b64decode(json.loads(request.content)["message"])
    return httpx.Response(200, json={"signature": str(WALLET.sign_message(message))})


async def test_it_is_asked_for_the_message_and_its_signature_is_used() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return signing(request)

    assert (await key(answer).sign(MESSAGE)).verify(WALLET.pubkey(), MESSAGE)
    assert json.loads(asked[0].content) == {
        "publicKey": str(WALLET.pubkey()),
        "message": base64.b64encode(MESSAGE).decode(),
    }


def unreachable(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"cannot reach {URL}")


UNUSABLE: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    "it cannot be reached": unreachable,
    "it takes too long": lambda request: (_ for _ in ()).throw(httpx.ReadTimeout(URL)),
    "it is broken": lambda _: httpx.Response(500),
    "it knows no such token": lambda _: httpx.Response(401),
    "it is asked too often": lambda _: httpx.Response(429),
    "it sends us elsewhere": lambda _: httpx.Response(307, headers={"Location": "https://elsewhere.example"}),
    "a proxy answers with a page": lambda _: httpx.Response(200, text="<html>"),
    "the answer is something else": lambda _: httpx.Response(200, json={"signature": 7}),
    "the signature is none": lambda _: httpx.Response(200, json={"signature": "0OIl"}),
    "the signature is of another message": lambda _: httpx.Response(
        200, json={"signature": str(WALLET.sign_message(b"another"))}
    ),
    "the signature is by another key": lambda _: httpx.Response(
        200, json={"signature": str(Keypair().sign_message(MESSAGE))}
    ),
    "the answer has no end": lambda _: httpx.Response(200, content=b" " * (MAX_ANSWER_BYTES + 1)),
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_what_is_no_signature_can_be_asked_for_again(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    with pytest.raises(SignerUnavailable) as refused:
        await key(answer).sign(MESSAGE)
    assert "path-key" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("status", [400, 422])
async def test_what_its_own_policy_refuses_is_refused(status: int) -> None:
    with pytest.raises(MessageRefused):
        await key(lambda _: httpx.Response(status)).sign(MESSAGE)


async def test_the_token_goes_with_each_request_and_shows_nowhere() -> None:
    configured = RemoteKey.configured(Secret(URL), Secret(TOKEN), str(WALLET.pubkey()), 1.0)
    async with configured:
        client = configured._http  # pyright: ignore[reportPrivateUsage]  (what is sent is what is tested)
        assert client.headers["Authorization"] == f"Bearer {TOKEN}"
        assert TOKEN not in repr(configured)
        assert URL not in repr(configured)


def settings(**environ: str) -> MinterSettings:
    return load(MinterSettings, ENVIRONMENT | environ)


@pytest.mark.parametrize("url", ["http://signer.example/sign", "ftp://signer.example", "signer", "http://[::1"])
def test_a_url_that_would_show_the_token_on_the_way_is_refused(url: str) -> None:
    with pytest.raises(KeyRefused, match="REMOTE_SIGNER_URL") as refused:
        configured_key(settings(**REMOTE | {"REMOTE_SIGNER_URL": url}))
    assert url not in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/sign", "http://localhost/sign", "https://signer.example"])
def test_https_or_this_machine_is_taken(url: str) -> None:
    wallet = configured_key(settings(**REMOTE | {"REMOTE_SIGNER_URL": url}))
    assert wallet.pubkey == WALLET.pubkey()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "neither PRIVATE_KEY"),
        (REMOTE | {"PRIVATE_KEY": str(WALLET)}, "both set"),
        ({"REMOTE_SIGNER_URL": URL}, "REMOTE_SIGNER_ADDRESS is missing"),
        (REMOTE | {"REMOTE_SIGNER_ADDRESS": "0OIl"}, "REMOTE_SIGNER_ADDRESS is not an address"),
        (REMOTE, "DERIVATION_SEED is missing"),
    ],
)
def test_settings_that_make_no_signer_are_told_in_a_sentence(environ: dict[str, str], sentence: str) -> None:
    configured = settings(**environ)
    with pytest.raises(KeyRefused, match=sentence):
        configured_signer(configured, configured_key(configured, environ))


def test_key_here_and_key_elsewhere_make_a_signer_of_the_same_wallet() -> None:
    here, elsewhere = settings(PRIVATE_KEY=str(WALLET), **SEED), settings(**REMOTE, **SEED)
    signers = [configured_signer(each, configured_key(each, {})) for each in (here, elsewhere)]
    assert {signer.pubkey for signer in signers} == {WALLET.pubkey()}
    assert len({signer.derived_address("a") for signer in signers}) == 1


async def test_what_is_meant_for_this_machine_goes_through_no_proxy(proxy: Proxy) -> None:
    """Over plain http a proxy, which may be anywhere, would read the token."""
    url = Secret("http://127.0.0.1:1/sign")
    async with RemoteKey.configured(url, Secret(TOKEN), str(WALLET.pubkey()), 10.0) as remote:
        with pytest.raises(SignerUnavailable):
            await remote.sign(MESSAGE)
    assert proxy.seen == []
