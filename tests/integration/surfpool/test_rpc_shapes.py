"""What the services ask of a node is answered by our cluster and by Surfpool in the same shape.

Every difference is either told in TOLERATED with its reason, or fails; so does a tolerated one that is gone.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import pytest
import pytest_asyncio
from solders.hash import Hash
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from tests.support.cluster import SOL, signed, transfer_to
from tests.support.rpc_shapes import differences, shape
from tests.support.surfpool import NEEDS_SURFPOOL
from tests.support.two_clusters import Cluster, Pair, keypair

pytestmark = [*NEEDS_SURFPOOL, pytest.mark.asyncio(loop_scope="module")]

CONFIRMED: Final = {"commitment": "confirmed"}
BASE64: Final = {"encoding": "base64", **CONFIRMED}
PREFLIGHT: Final = {"encoding": "base64", "preflightCommitment": "confirmed"}
VERSION_0: Final = {**BASE64, "maxSupportedTransactionVersion": 0}
HISTORY: Final = {"searchTransactionHistory": True}
ABSENT: Final = str(keypair("shapes: nobody").pubkey())
MAX_PROCESSING_AGE: Final = 150
"""Blocks for which a blockhash is accepted (Solana's documentation, "Transaction Confirmation & Expiration")."""
NEVER_SENT: Final = str(keypair("shapes: nobody").sign_message(b"never sent"))

_NEWER: Final = "later Agave tells more of a simulation; the services read err and unitsConsumed"
_SIMULATION: Final = (
    *("fee", "loadedAccountsDataSize", "loadedAddresses"),
    *("preBalances", "postBalances", "preTokenBalances", "postTokenBalances"),
)
TOLERATED: Final[Mapping[tuple[str, str], str]] = {
    **{("simulateTransaction*", f"result.value.{name}"): _NEWER for name in _SIMULATION},
    **{("sendTransaction: refused by preflight", f"error.data.{name}"): _NEWER for name in _SIMULATION},
    ("sendTransaction: again", "*"): (
        "Surfpool refuses what landed already; without preflight a validator takes it, as ours does; the minter goes "
        "by the chain, not by this answer"
    ),
    ("sendTransaction: again, with preflight", "error.data"): "Surfpool gives the same code without the simulation",
    ("getEpochInfo", "result.transactionCount"): "null is allowed; the services read slot and block height",
    (
        "getTransaction*",
        "result.meta.returnData",
    ): "Surfpool gives an empty object where the specification has no field",
    (
        "getTransaction: version not asked for",
        "*",
    ): "Surfpool answers; the specification refuses with -32015, as ours does",
    ("*: no *", "error.data"): "Surfpool says what could not be parsed",
}
"""Call and path, both as shell patterns, and why the difference does no harm."""

Answers = dict[str, dict[str, Any]]


async def answers_of(cluster: Cluster, payer: Keypair) -> Answers:
    """The whole answer to every call that the services make, good and bad, by a name for the call."""
    await cluster.fund(payer.pubkey())
    receiver = keypair("shapes: receiver").pubkey()
    good = await cluster.sign(payer, [transfer_to(payer, receiver, SOL)])
    bad = await cluster.sign(payer, [transfer_to(payer, receiver, 10**6 * SOL)])
    answers: Answers = {}

    async def ask(name: str, *params: object) -> None:
        method = name.split(":")[0]
        body = {"jsonrpc": "2.0", "id": name, "method": method, "params": params}
        answers[name] = (await cluster.node.http.post("/", json=body)).json()
        assert (answers[name]["jsonrpc"], answers[name]["id"]) == ("2.0", name)

    await ask("simulateTransaction", text(good), {**BASE64, "sigVerify": False})
    await ask("simulateTransaction: refused", text(bad), {**BASE64, "sigVerify": False})
    await ask("sendTransaction: refused by preflight", text(bad), PREFLIGHT)
    await ask("sendTransaction: not base64", "?", PREFLIGHT)
    await ask("sendTransaction", text(good), {**PREFLIGHT, "skipPreflight": True, "maxRetries": 0})
    landed = await cluster.until_confirmed(str(good.signatures[0]))
    refused = await cluster.until_confirmed(await cluster.node.send(bad))
    await ask("sendTransaction: again", text(good), {**PREFLIGHT, "skipPreflight": True, "maxRetries": 0})
    await ask("sendTransaction: again, with preflight", text(good), PREFLIGHT)

    await ask("getLatestBlockhash", CONFIRMED)
    await ask("getEpochInfo", {"commitment": "finalized"})
    await ask("getBlockHeight", {"commitment": "finalized"})
    await ask("getSignatureStatuses", [landed])
    await ask("getSignatureStatuses: refused", [refused], HISTORY)
    await ask("getSignatureStatuses: unknown", [NEVER_SENT], HISTORY)
    await ask("getSignatureStatuses: no signature", ["?"])
    await ask("getTransaction", landed, VERSION_0)
    await ask("getTransaction: refused", refused, VERSION_0)
    await ask("getTransaction: unknown", NEVER_SENT, VERSION_0)
    await ask("getTransaction: version not asked for", landed, BASE64)
    await ask("getSignaturesForAddress", str(receiver), {"limit": 10, **CONFIRMED})
    await ask("getAccountInfo", str(receiver), BASE64)
    await ask("getAccountInfo: absent", ABSENT, BASE64)
    await ask("getAccountInfo: no address", "?", BASE64)
    await ask("getMultipleAccounts", [str(receiver), ABSENT], BASE64)
    await ask("getMinimumBalanceForRentExemption", 82, CONFIRMED)
    await ask("getBalance", str(receiver), CONFIRMED)
    await ask("getHealth")
    await ask("noSuchMethod")
    return answers


def text(transaction: VersionedTransaction) -> str:
    return base64.b64encode(bytes(transaction)).decode("ascii")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers(pair: Pair) -> tuple[Answers, Answers]:
    """Ours and Surfpool's."""
    payer = keypair("shapes: payer")
    ours, theirs = await asyncio.gather(answers_of(pair.ours, payer), answers_of(pair.surfpool, payer))
    return ours, theirs


async def test_every_answer_has_the_same_shape(answers: tuple[Answers, Answers]) -> None:
    ours, theirs = answers
    found = {
        (call, path): told
        for call in ours
        for path, told in differences(shape(ours[call]), shape(theirs[call])).items()
    }
    unexpected = {
        where: told for where, told in found.items() if not any(fits(where, pattern) for pattern in TOLERATED)
    }
    assert not unexpected, "\n".join(
        f"{where}: ours {one}, Surfpool's {other}" for where, (one, other) in unexpected.items()
    )
    gone = [pattern for pattern in TOLERATED if not any(fits(where, pattern) for where in found)]
    assert gone == [], "tolerated, and not different any more"


def fits(where: tuple[str, str], pattern: tuple[str, str]) -> bool:
    return all(fnmatchcase(*each) for each in zip(where, pattern, strict=True))


async def test_both_say_the_same_of_what_is_not_there(answers: tuple[Answers, Answers]) -> None:
    for each in answers:
        assert each["getTransaction: unknown"]["result"] is None
        assert each["getSignatureStatuses: unknown"]["result"]["value"] == [None]
        assert each["getAccountInfo: absent"]["result"]["value"] is None
        assert each["getMultipleAccounts"]["result"]["value"][1] is None
        assert each["noSuchMethod"]["error"]["code"] == -32601
        assert each["getHealth"]["result"] == "ok"


async def test_blockhashes_live_as_long_on_both(pair: Pair) -> None:
    for cluster in (pair.ours, pair.surfpool):
        latest = await cluster.node.call("getLatestBlockhash", CONFIRMED)
        epoch = await cluster.node.call("getEpochInfo", CONFIRMED)
        ahead = latest["value"]["lastValidBlockHeight"] - epoch["blockHeight"]
        assert 0 < ahead <= MAX_PROCESSING_AGE, cluster.name


async def test_an_expired_blockhash_lands_on_neither(pair: Pair) -> None:
    payer = await pair.wallet("shapes: late")
    for cluster in (pair.ours, pair.surfpool):
        never = signed(payer, [transfer_to(payer, keypair("shapes: receiver").pubkey(), SOL)], Hash.hash(b"no block"))
        answer = await cluster.node.http.post(
            "/", json={"jsonrpc": "2.0", "id": 1, "method": "simulateTransaction", "params": [text(never), BASE64]}
        )
        assert answer.json()["result"]["value"]["err"] == "BlockhashNotFound", cluster.name
        await cluster.node.send(never)
        later = await cluster.sign(payer, [transfer_to(payer, payer.pubkey(), 1)])
        await cluster.until_confirmed(await cluster.node.send(later))
        (state,) = await cluster.node.value("getSignatureStatuses", [str(never.signatures[0])], HISTORY)
        # A validator knows nothing of it. Surfpool keeps it with its error, which the minter reads as dead: rightly.
        assert state is None or state["err"] == "BlockhashNotFound", cluster.name
