"""The signed report: both forms say what was found, and no byte of it can be changed unseen."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from audit.report import Finding, Report, Verdict
from mintstream.audit_report import (
    OPERATIONS,
    PAGE,
    SIGNATURE,
    SUMMARY,
    ReportForged,
    ReportWriter,
    check_report,
    read_private_key,
    read_public_key,
)
from mintstream.audit_story import story

SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def report(number: int, *findings: Finding, verdict: Verdict = Verdict.PROVEN) -> Report:
    return Report(operation=UUID(int=number), verdict=verdict, steps=(), findings=findings)


REPORTS = (
    report(1, Finding(question="root", about="a", verdict=Verdict.PROVEN)),
    report(
        2,
        Finding(question="row", about="<script>alert(1)</script>", verdict=Verdict.BROKEN, reason="it's & not"),
        verdict=Verdict.BROKEN,
    ),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with ReportWriter(tmp_path / "report", since=SINCE, until=UNTIL) as writer:
        for each in REPORTS:
            writer.add(each)
        writer.sign(KEY, UNTIL)
    return tmp_path / "report"


def test_a_report_says_what_was_found(folder: Path) -> None:
    summary = check_report(folder, KEY.public_key())
    assert (summary.verdict, summary.operations) == (Verdict.BROKEN, {"proven": 1, "broken": 1})
    lines = (folder / OPERATIONS).read_bytes().splitlines()
    assert tuple(msgspec.json.decode(line, type=Report) for line in lines) == REPORTS
    page = (folder / PAGE).read_text()
    assert str(UUID(int=2)) in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;: it&#x27;s &amp; not" in page
    assert "<script" not in page


@pytest.mark.parametrize("name", [OPERATIONS, PAGE, SUMMARY, SIGNATURE])
def test_a_changed_file_is_found(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ReportForged):
        check_report(folder, KEY.public_key())


def test_another_signer_is_found(folder: Path) -> None:
    with pytest.raises(ReportForged):
        check_report(folder, Ed25519PrivateKey.from_private_bytes(b"\1" * 32).public_key())


def test_keys_of_another_kind_are_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    for read in (read_private_key, read_public_key):
        with pytest.raises(ValueError, match="key"):
            read(path)


def test_answers_that_are_alike_are_told_up_to_a_number() -> None:
    same = [Finding(question="content", about=str(at), verdict=Verdict.UNKNOWN, reason="away") for at in range(1002)]
    lines = [str(line) for line in story(report(1, *same, *REPORTS[1].findings), 2)]
    assert [line for line in lines if line.startswith("unknown")] == [
        "unknown content, 0: away",
        "unknown content, 1: away",
        "unknown content: 1,000 more, told by --json",
    ]
    assert any(line.startswith("broken row") for line in lines)
    assert len(list(story(report(1, *same)))) > len(same)
