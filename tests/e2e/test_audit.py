"""`mintstream audit` on real mints: all of it holds, and whatever is changed is found and named."""

import asyncio
import base64
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from audit.checks import audit
from audit.content import Contents
from audit.evidence import Evidence, LoggedEvent
from audit.gathering import Gatherer
from audit.history import WholeLog
from audit.nodes import Nodes
from audit.report import Report, Verdict
from chassis import postgres
from chassis.database import connect
from contracts.mint import Completed, Confirmed, Finalized, Pinned, Planned, Requested, Signed
from localnet.secret_files import read_secret
from mintstream.ending import Exit
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import URI, LiveStack, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]


async def run(live: LiveStack, *arguments: str) -> tuple[int | None, str]:
    """The command's exit status and its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mintstream",
        "audit",
        *arguments,
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "NATS_URL": live.stack.nats_url,
            "DATABASE_URL": live.stack.database_url,
            "RPC_URL": live.stack.rpc_url,
            "IPFS_GATEWAY_URL": live.stack.ipfs_url,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def changed(evidence: Evidence, kind: type[Any], **fields: object) -> Evidence:
    """The first event of a kind with other words, as somebody would write them who can write to the log."""

    def change(logged: LoggedEvent) -> LoggedEvent:
        data = msgspec.structs.replace(logged.event.data, **fields)
        return replace(logged, event=msgspec.structs.replace(logged.event, data=data))

    return edited(evidence, kind, change)


def edited(evidence: Evidence, kind: type[Any], change: Callable[[LoggedEvent], LoggedEvent]) -> Evidence:
    position = next(n for n, logged in enumerate(evidence.events) if isinstance(logged.fact, kind))
    events = list(evidence.events)
    events[position] = change(events[position])
    return replace(evidence, events=events)


def first(evidence: Evidence, kind: type[Any]) -> Any:
    return next(logged.fact for logged in evidence.events if isinstance(logged.fact, kind))


def without(evidence: Evidence, kind: type[Any]) -> Evidence:
    return replace(evidence, events=[logged for logged in evidence.events if not isinstance(logged.fact, kind)])


def twice(evidence: Evidence) -> Evidence:
    """The evidence with one more word of the log: the first transaction's items in another one, confirmed as well."""
    confirmed: Confirmed = first(evidence, Confirmed)
    more = msgspec.structs.replace(confirmed, tx=99, signature=str(Signature.default()))
    (logged,) = [logged for logged in evidence.events if logged.fact is confirmed]
    planted = replace(logged, event=msgspec.structs.replace(logged.event, data=more))
    return replace(evidence, events=[*evidence.events, planted])


async def mint_again(live: LiveStack, signed: Signed) -> None:
    """Send a signed transaction's instructions once more under a newer blockhash, and tell nobody."""
    wallet = Keypair.from_base58_string(read_secret(live.stack.plan.secrets.wallet_key))
    message = VersionedTransaction.from_bytes(base64.b64decode(signed.transaction)).message
    assert isinstance(message, MessageV0)
    newest = (await live.rpc("getLatestBlockhash", {"commitment": "confirmed"}))["value"]["blockhash"]
    again = MessageV0(
        message.header,
        message.account_keys,
        Hash.from_string(newest),
        message.instructions,
        message.address_table_lookups,
    )
    wire = base64.b64encode(bytes(VersionedTransaction(again, [wallet]))).decode()
    signature = await live.rpc("sendTransaction", wire, {"encoding": "base64", "preflightCommitment": "confirmed"})

    async def landed() -> bool:
        (status,) = (await live.rpc("getSignatureStatuses", [signature]))["value"]
        return status is not None and status["confirmationStatus"] != "processed"

    await eventually(landed, "the second transaction is confirmed")


def tampered(evidence: Evidence) -> dict[str, Evidence]:
    """What may be changed, by the question that must find it."""
    confirmed: Confirmed = first(evidence, Confirmed)
    leaf = confirmed.leaves[0]
    pinned: Pinned = first(evidence, Pinned)
    items = (msgspec.structs.replace(pinned.items[0], name="Another"), *pinned.items[1:])
    uri = pinned.items[0].uri
    sequence = evidence.events[0].sequence
    row = evidence.rows[leaf.item]
    forged = (msgspec.structs.replace(leaf, leaf_hash="00" * 32), *confirmed.leaves[1:])
    moved = (msgspec.structs.replace(leaf, leaf_index=leaf.leaf_index + 1), *confirmed.leaves[1:])
    return {
        "second copy": replace(evidence, copies={**evidence.copies, sequence: b"{}"}),
        "cause": without(evidence, Pinned),
        "second copy, one message less": without(evidence, Planned),
        "intended": changed(evidence, Confirmed, tx=99),
        "on chain": replace(evidence, transactions={**evidence.transactions, confirmed.signature: None}),
        "final": changed(evidence, Finalized, slot=1),
        "leaf": changed(evidence, Confirmed, leaves=forged),
        "leaf, moved": changed(evidence, Confirmed, leaves=moved),
        "leaf, another wallet": changed(evidence, Requested, recipient=str(Pubkey.default())),
        "leaf, another name": changed(evidence, Pinned, items=items),
        "content": replace(evidence, contents={**evidence.contents, uri: False}),
        "minted once": changed(evidence, Confirmed, signature=str(Signature.default())),
        "minted once, by two transactions": twice(evidence),
        "root": replace(evidence, proofs={**evidence.proofs, leaf.asset_id: False}),
        "row": replace(evidence, rows={**evidence.rows, leaf.item: replace(row, asset_id="forged")}),
        "row, deleted": replace(evidence, rows={n: row for n, row in evidence.rows.items() if n != leaf.item}),
        "row, of the operation": replace(evidence, row=None),
        "second copy, deleted": replace(
            evidence, copies={n: copy for n, copy in evidence.copies.items() if n != sequence}
        ),
        "archive": replace(evidence, archived={sequence: b"{}"}),
        "totals": changed(evidence, Completed, minted=99),
        "readable": replace(evidence, unreadable={sequence: "no JSON"}),
    }


@pytest.mark.parametrize("standard", ["v1", "v2"])
async def test_a_mint_is_proven_and_every_change_is_found(live: LiveStack, standard: str) -> None:
    asked = await live.ask(await live.collection(standard), 5, batch_size=3)
    events = await check_exactly_once(live, asked)
    await live.finalized(asked)
    status, said = await run(live, "operation", str(asked.operation), "--json")
    report = msgspec.json.decode(said, type=Report)
    # The image that the mint asks for is one that nobody has: all else is proven.
    left = [finding for finding in report.findings if finding.verdict is not Verdict.PROVEN]
    assert [(each.question, each.about, each.reason) for each in left] == [("content", URI, "nobody has the bytes")]
    assert (status, report.verdict) == (Exit.UNPROVEN, Verdict.UNKNOWN)
    assert {step.event for step in report.steps} >= {message.event.id for message in events}
    questions = {finding.question for finding in report.findings}
    assert questions == {
        "one request", "second copy", "cause", "intended", "on chain", "final", "leaf", "minted once", "content",
        "root", "row", "totals",
    }  # fmt: skip

    answer = await live.http.get(f"/api/audit/operations/{asked.operation}")
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    assert (told["verdict"], len(told["steps"])) == ("unknown", len(report.steps))
    assert sorted((each["question"], each["about"], each["verdict"]) for each in told["findings"]) == sorted(
        (each.question, each.about, each.verdict.value) for each in report.findings
    )

    stack = live.stack
    async with (
        postgres.pool(stack.database_url, application_name="audit", max_size=1) as pool,
        httpx.AsyncClient(base_url=stack.ipfs_url) as ipfs,
    ):
        gatherer = Gatherer(WholeLog(live.log, None), pool, Nodes([live.chain]), Contents([ipfs]))
        evidence = await gatherer.evidence(asked.operation)
        (leaf, *_) = first(evidence, Confirmed).leaves
        assert await gatherer.operations("asset", leaf.asset_id) == [asked.operation]
        assert await gatherer.operations("recipient", asked.recipient) == [asked.operation]
        await mint_again(live, first(evidence, Signed))
        doubled = audit(await gatherer.evidence(asked.operation))
    told = {each.about for each in doubled.findings if (each.question, each.verdict) == ("minted once", Verdict.BROKEN)}
    assert told == {f"item {index}" for index in first(evidence, Signed).items}
    evidence = replace(evidence, contents={**evidence.contents, URI: True})
    assert audit(evidence).verdict is Verdict.PROVEN
    for what, forged in tampered(evidence).items():
        found = audit(forged)
        broken = {finding.question for finding in found.findings if finding.verdict is Verdict.BROKEN}
        assert found.verdict is Verdict.BROKEN, what
        assert what.partition(",")[0] in broken, (what, broken)
    assert audit(replace(evidence, proofs={})).verdict is Verdict.UNKNOWN


async def test_a_row_that_somebody_changed_is_named(live: LiveStack) -> None:
    asked = await live.ask(await live.collection("v2"), 1)
    await check_exactly_once(live, asked)
    database = await connect(live.stack.database_url)
    try:
        change = "UPDATE mint_results SET leaf_index = leaf_index + 1 WHERE operation_id = $1"
        await database.execute(change, asked.operation)
        status, said = await run(live, "recipient", asked.recipient)
        await database.execute(change.replace("+", "-"), asked.operation)
    finally:
        await database.close()
    assert status == Exit.WRONG
    assert "broken row, item 0: the tables have" in said
    assert (await run(live, "asset", "nobody"))[0] == Exit.MISSING


async def test_a_period_is_reported_and_signed(live: LiveStack, tmp_path: Path) -> None:
    since = datetime.now(UTC)  # what others minted twice is not of this period
    asked = await live.ask(await live.collection("v2"), 1)
    await check_exactly_once(live, asked)
    key = Ed25519PrivateKey.generate()
    for name, pem in (
        ("key.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        ("public.pem", key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    ):
        (tmp_path / name).write_bytes(pem)
    period = ("--since", f"{since:%Y-%m-%dT%H:%M:%S}", "--until", str(since.date() + timedelta(days=2)))
    out = tmp_path / "report"
    status, said = await run(live, "range", *period, "--key", str(tmp_path / "key.pem"), "--out", str(out))
    assert status == Exit.UNPROVEN, said
    assert str(asked.operation) in (out / "report.html").read_text()
    status, said = await run(live, "check-report", str(out), "--public-key", str(tmp_path / "public.pem"))
    assert (status, "signed as it stands" in said) == (0, True)
