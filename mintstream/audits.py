"""`mintstream audit`: the story of an operation, from the request to the leaves, and whether all of it holds.

Exit status: 0 when nothing is broken, 1 when something is or the job failed, 4 when nothing is broken and something
could not be looked at.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import httpx
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from audit.chain import ChainVerifier
from audit.checks import audit
from audit.gathering import Gatherer
from audit.report import Report, Verdict
from chassis import postgres
from chassis.log import LogUnavailable
from mintstream.audit_report import (
    ReportForged,
    ReportWriter,
    Summary,
    check_report,
    read_private_key,
    read_public_key,
)
from mintstream.places import NAME, AuditPlaces, audit_places, opened_archive, opened_log
from mintstream.whole_log import whole_log
from services.indexer.archive import ArchiveBroken
from services.indexer.history import HistoryIncomplete

EXIT_FAILED: Final = 1
EXIT_UNKNOWN: Final = 4
IPFS_SECONDS: Final = 60.0
FAILURES: Final = (
    ArchiveBroken,
    HistoryIncomplete,
    LogUnavailable,
    OSError,
    asyncpg.PostgresError,
    postgres.DatabaseUnavailable,
)
COLOURS: Final = {Verdict.PROVEN: "green", Verdict.BROKEN: "bold red", Verdict.UNKNOWN: "yellow"}

app = typer.Typer(name="audit", help="Whether what the log says holds: the story, held to chain and content.")

DataDir = Annotated[
    Path, typer.Option("--data", envvar="MINTSTREAM_DATA", help="Data directory of the embedded stack.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class NothingToAudit(Exception):
    """No operation is known by this; the sentence says by what."""


@app.command()
def operation(
    operation: Annotated[UUID, typer.Argument(help="The operation's id, the API's transactionId.")],
    as_json: AsJson = False,
    data: DataDir = Path(".data"),
) -> None:
    """Audit one operation.

    Example: mintstream audit operation 0199c1f0-7b7e-7d3a-9c1e-1f6a2b3c4d5e
    """
    _run(data, "operation", operation, as_json=as_json)


@app.command()
def asset(
    asset_id: Annotated[str, typer.Argument(help="The asset's id.")],
    as_json: AsJson = False,
    data: DataDir = Path(".data"),
) -> None:
    """Audit the operation that minted an asset.

    Example: mintstream audit asset 8Kq2...hVnR
    """
    _run(data, "asset", asset_id, as_json=as_json)


@app.command()
def signature(
    signature: Annotated[str, typer.Argument(help="The transaction's signature.")],
    as_json: AsJson = False,
    data: DataDir = Path(".data"),
) -> None:
    """Audit the operation of a transaction.

    Example: mintstream audit signature 5wHu...9dTe
    """
    _run(data, "signature", signature, as_json=as_json)


@app.command()
def recipient(
    address: Annotated[str, typer.Argument(help="The wallet's address.")],
    as_json: AsJson = False,
    data: DataDir = Path(".data"),
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
    data: DataDir = Path(".data"),
) -> None:
    """Audit every operation of a period, and write a signed report: JSON, and a page to read.

    Example: mintstream audit range --since 2026-11-01 --until 2026-12-01 --key auditor.pem --out november
    """
    try:
        summary = asyncio.run(
            _audit_range(audit_places(data), since.replace(tzinfo=UTC), until.replace(tzinfo=UTC), key, out)
        )
    except (*FAILURES, ValueError) as error:
        # Stop: the sentence says what is missing; the report is signed at its end, so half of one is worth nothing.
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(summary.operations.items())) or "no operations"
    typer.echo(f"{told}; the report is in {out}")
    _exit({summary.verdict})


@app.command("check-report")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the report.")],
    public_key: Annotated[Path, typer.Option(help="File with the signer's public key (PEM), from the signer.")],
) -> None:
    """Check that a report is what the holder of the key has signed.

    Example: mintstream audit check-report november --public-key auditor.pub
    """
    try:
        summary = check_report(folder, read_public_key(public_key))
    except (OSError, ReportForged, ValueError) as error:
        # Stop: the report is worth nothing.
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None
    typer.echo(f"signed as it stands, made at {summary.made_at:%Y-%m-%d %H:%M} UTC: {summary.verdict}")


def _run(data: Path, by: str, value: object, *, as_json: bool) -> None:
    try:
        verdicts = asyncio.run(_audit(audit_places(data), by, value, as_json=as_json))
    except (*FAILURES, NothingToAudit) as error:
        # Stop: the sentence says what is missing; an audit changes nothing.
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None
    _exit(verdicts)


def _exit(verdicts: set[Verdict]) -> None:
    if Verdict.BROKEN in verdicts:
        raise typer.Exit(EXIT_FAILED)
    if Verdict.UNKNOWN in verdicts:
        raise typer.Exit(EXIT_UNKNOWN)


async def _audit_range(settings: AuditPlaces, since: datetime, until: datetime, key: Path, out: Path) -> Summary:
    signer = await asyncio.to_thread(read_private_key, key)
    with ReportWriter(out, since=since, until=until) as writer:
        async with _gatherer(settings) as gatherer:
            for each in await gatherer.operations("range", since, until):
                await asyncio.to_thread(writer.add, audit(await gatherer.evidence(each)))
        return await asyncio.to_thread(writer.sign, signer, datetime.now(UTC))


async def _audit(settings: AuditPlaces, by: str, value: object, *, as_json: bool) -> set[Verdict]:
    verdicts: set[Verdict] = set()
    async with _gatherer(settings) as gatherer:
        operations = [value] if isinstance(value, UUID) else await gatherer.operations(by, value)
        if not operations:
            raise NothingToAudit(f"no operation is known by {by} {value}")
        for each in operations:
            report = audit(await gatherer.evidence(each))
            verdicts.add(report.verdict)
            if as_json:
                typer.echo(msgspec.json.encode(report).decode())
            else:
                _tell(report, Console())
    return verdicts


@asynccontextmanager
async def _gatherer(settings: AuditPlaces) -> AsyncGenerator[Gatherer]:
    async with (
        opened_log(settings) as log,
        postgres.pool(settings.database_url, application_name=NAME, max_size=1) as pool,
        ChainVerifier(settings.rpc_url.reveal()) as chain,
        httpx.AsyncClient(base_url=settings.ipfs_gateway_url, timeout=IPFS_SECONDS) as ipfs,
    ):
        yield Gatherer(whole_log(log, opened_archive(settings, log)), pool, chain, ipfs)


def _tell(report: Report, console: Console) -> None:
    table = Table(title=f"Operation {report.operation}", title_justify="left", box=None, pad_edge=False)
    for column in ("time", "event", "id", "cause", "by"):
        table.add_column(column, no_wrap=True)
    for step in report.steps:
        told = step.subject.replace(f".{report.operation}", "")
        table.add_row(
            f"{step.time:%Y-%m-%d %H:%M:%S.%f}"[:-3], told, str(step.event), str(step.cause or ""), step.producer
        )
    console.print(table, soft_wrap=True)
    counts = Counter((finding.question, finding.verdict) for finding in report.findings)
    for (question, verdict), count in counts.items():
        console.print(f"  {question:<12} {count:>4} [{COLOURS[verdict]}]{verdict}[/]", highlight=False)
    for finding in report.findings:
        if finding.verdict is not Verdict.PROVEN:
            colour = COLOURS[finding.verdict]
            console.print(
                f"[{colour}]{finding.verdict}[/] {finding.question}, {finding.about}: {finding.reason}",
                highlight=False,
                soft_wrap=True,
            )
    console.print(f"The operation is [{COLOURS[report.verdict]}]{report.verdict}[/].", highlight=False)
