"""`mintstream audit`: the story of an operation, from the request to the leaves, and whether all of it holds.

Ends with WRONG when something is broken, and with UNPROVEN when nothing is and something could not be looked at. An
audit changes nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import httpx
import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.progress import track

from audit.chain import ChainVerifier
from audit.checks import audit, is_known
from audit.content import Contents
from audit.gathering import Gatherer
from audit.history import WholeLog
from audit.nodes import Nodes
from audit.report import Report, Verdict
from chassis.chain import node_urls
from mintstream.audit_report import ReportWriter, Summary, check_report, read_private_key, read_public_key, told
from mintstream.audit_story import story
from mintstream.ending import Exit, end
from mintstream.options import DATA, AsJson, DataDir
from mintstream.places import AuditPlaces, audit_places, opened_archive, opened_log, opened_tables
from mintstream.printing import people, print_json

IPFS_SECONDS: Final = 60.0
SHOWN: Final = 10
"""Answers of one question that are not proven, told to people one by one; there may be thousands alike."""

K = TypeVar("K")

app = typer.Typer(
    name="audit", help="Whether what the log says holds: the story, held to chain and content.", no_args_is_help=True
)


@app.command()
def operation(
    operation: Annotated[UUID, typer.Argument(help="The operation's id, the API's transactionId.")],
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Audit one operation.

    Example: mintstream audit operation 0199c1f0-7b7e-7d3a-9c1e-1f6a2b3c4d5e
    """
    _run(data, "operation", operation, as_json=as_json, one=True)


@app.command()
def asset(
    asset_id: Annotated[str, typer.Argument(help="The asset's id.")],
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Audit the operation that minted an asset.

    Example: mintstream audit asset 8Kq2...hVnR
    """
    _run(data, "asset", asset_id, as_json=as_json, one=True)


@app.command()
def signature(
    signature: Annotated[str, typer.Argument(help="The transaction's signature.")],
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Audit the operation of a transaction.

    Example: mintstream audit signature 5wHu...9dTe
    """
    _run(data, "signature", signature, as_json=as_json, one=True)


@app.command()
def recipient(
    address: Annotated[str, typer.Argument(help="The wallet's address.")],
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Audit every operation for a wallet, the oldest first.

    Example: mintstream audit recipient 9xQe...VFin
    """
    _run(data, "recipient", address, as_json=as_json)


@app.command("range")
def audit_range(
    since: Annotated[datetime, typer.Option(help="Requests from this moment on (UTC).")],
    until: Annotated[datetime, typer.Option(help="Requests before this moment (UTC).")],
    key: Annotated[Path, typer.Option(help="File with the Ed25519 key (PEM) that signs the report.")],
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Audit every operation of a period, and write a signed report: JSON, and a page to read.

    Example: mintstream audit range --since 2026-11-01 --until 2026-12-01 --key auditor.pem --out november
    """
    if since >= until:
        end(Exit.USAGE, "--until must be later than --since")
    signer = _key(read_private_key, key)
    period = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
    summary = asyncio.run(_audit_range(audit_places(data), *period, signer, out))
    if as_json:
        print_json(msgspec.to_builtins(summary))
    else:
        typer.echo(f"{told(summary.operations) or 'no operations'}; the report is in {out}")
    _exit({summary.verdict})


@app.command("check-report")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the report.")],
    public_key: Annotated[Path, typer.Option(help="File with the signer's public key (PEM), from the signer.")],
    as_json: AsJson = False,
) -> None:
    """Check that a report is what the holder of the key has signed.

    Example: mintstream audit check-report november --public-key auditor.pub
    """
    summary = check_report(folder, _key(read_public_key, public_key))
    if as_json:
        print_json(msgspec.to_builtins(summary))
    else:
        since, until, made_at = (f"{each:%Y-%m-%d %H:%M}" for each in (summary.since, summary.until, summary.made_at))
        typer.echo(f"signed as it stands, at {made_at} UTC")
        typer.echo(f"operations from {since} to {until} UTC: {told(summary.operations) or 'none'}")


def _key(read: Callable[[Path], K], path: Path) -> K:
    try:
        return read(path)
    except ValueError as error:  # stop: another file has to be named
        end(Exit.USAGE, str(error))


def _run(data: Path, by: str, value: object, *, as_json: bool, one: bool = False) -> None:
    """Audit what is known `by` this; `one`: that is a single operation at the most."""
    console = people()
    verdicts, found = set[Verdict](), list[Any]()

    def tell(report: Report) -> None:
        verdicts.add(report.verdict)
        if as_json:
            found.append(msgspec.to_builtins(report))
            return
        for line in story(report, SHOWN):
            console.print(line, soft_wrap=True)

    asyncio.run(_audit(audit_places(data), by, value, tell))
    if as_json:
        print_json(found[0] if one else found)
    _exit(verdicts)


def _exit(verdicts: set[Verdict]) -> None:
    if Verdict.BROKEN in verdicts:
        raise typer.Exit(Exit.WRONG)
    if Verdict.UNKNOWN in verdicts:
        raise typer.Exit(Exit.UNPROVEN)


async def _audit_range(
    settings: AuditPlaces, since: datetime, until: datetime, signer: Ed25519PrivateKey, out: Path
) -> Summary:
    with ReportWriter(out, since=since, until=until) as writer:
        async with _gatherer(settings) as gatherer:
            operations = await gatherer.operations_between(since, until)
            console = people(stderr=True)
            for each in track(operations, "Auditing", console=console, transient=True, disable=not console.is_terminal):
                report = await asyncio.to_thread(audit, await gatherer.evidence(each))
                await asyncio.to_thread(writer.add, report)
        return await asyncio.to_thread(writer.sign, signer, datetime.now(UTC))


async def _audit(settings: AuditPlaces, by: str, value: object, tell: Callable[[Report], None]) -> None:
    """Audit one operation after the other, and tell each before the next is read."""
    waiting = people(stderr=True)
    async with _gatherer(settings) as gatherer:
        operations = [value] if isinstance(value, UUID) else await gatherer.operations(by, value)
        if not operations:
            end(Exit.MISSING, f"no operation is known by {by} {value}")
        for number, each in enumerate(operations, 1):
            with waiting.status(f"Auditing operation {number} of {len(operations)}"):
                evidence = await gatherer.evidence(each)
                if not is_known(evidence):
                    end(Exit.MISSING, f"no operation is known by {by} {value}")
                report = await asyncio.to_thread(audit, evidence)
            tell(report)


@asynccontextmanager
async def _gatherer(settings: AuditPlaces) -> AsyncGenerator[Gatherer]:
    urls = node_urls(settings.rpc_url, settings.backup_rpc_urls)
    gateways = (settings.ipfs_gateway_url, *settings.backup_ipfs_gateways)
    async with AsyncExitStack() as resources:
        log = await resources.enter_async_context(opened_log(settings))
        pool = await resources.enter_async_context(opened_tables(settings))
        nodes = [await resources.enter_async_context(ChainVerifier(url)) for url in urls]
        clients = [
            await resources.enter_async_context(httpx.AsyncClient(base_url=url, timeout=IPFS_SECONDS))
            for url in gateways
        ]
        yield Gatherer(WholeLog(log, opened_archive(settings, log)), pool, Nodes(nodes), Contents(clients))
