"""The signed report of many audits: what was found, for a program and for a person, and who says so.

Four files in a folder: `operations.ndjson` (a report a line), `report.html` (a page to read), `report.json` (a summary
with the SHA-256 of the first two) and `report.json.sig` (its Ed25519 signature). Written operation by operation, so a
report of a million takes no more memory than one of ten. Not done here: auditing (`audit`), the page's text
(`audit_page`), and keeping the key.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from audit.report import Report, Verdict
from mintstream import audit_page

OPERATIONS: Final = "operations.ndjson"
PAGE: Final = "report.html"
SUMMARY: Final = "report.json"
SIGNATURE: Final = "report.json.sig"


class ReportForged(Exception):
    """A report is not what was signed; the text says which file."""


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is signed."""

    format: int = 1
    since: datetime
    until: datetime
    made_at: datetime
    verdict: Verdict
    operations: dict[str, int]
    """How many there are of each verdict."""
    sha256: dict[str, str]
    """Of the other files, by name."""
    public_key: str
    """The signer's Ed25519 key, PEM: compare it with one that you have from elsewhere."""


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


class ReportWriter:
    """Writes a report into a folder: `add` for each operation, then `sign`. Every method raises OSError."""

    def __init__(self, folder: Path, *, since: datetime, until: datetime) -> None:
        self._folder = folder
        self._since = since
        self._until = until
        self._counts: Counter[Verdict] = Counter()
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as resources:
            self._lines, self._page = (
                _Hashed(resources.enter_context((self._folder / name).open("wb"))) for name in (OPERATIONS, PAGE)
            )
            self._resources = resources.pop_all()
        self._page.write(audit_page.head(self._since, self._until).encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def add(self, report: Report) -> None:
        """Take in an operation."""
        self._counts[report.verdict] += 1
        self._lines.write(msgspec.json.encode(report) + b"\n")
        self._page.write(audit_page.row(report).encode())

    def sign(self, key: Ed25519PrivateKey, made_at: datetime) -> Summary:
        """End the report: write the summary with its signature."""
        counts = {str(verdict): count for verdict, count in self._counts.items()}
        self._page.write(audit_page.end(told(counts), made_at).encode())
        self._resources.close()
        summary = Summary(
            since=self._since,
            until=self._until,
            made_at=made_at,
            verdict=next((each for each in (Verdict.BROKEN, Verdict.UNKNOWN) if self._counts[each]), Verdict.PROVEN),
            operations=counts,
            sha256={OPERATIONS: self._lines.sha256, PAGE: self._page.sha256},
            public_key=key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        )
        data = msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
        (self._folder / SUMMARY).write_bytes(data)
        (self._folder / SIGNATURE).write_bytes(key.sign(data))
        return summary


def told(operations: Mapping[str, int]) -> str:
    """Return how many operations there are of each verdict; nothing when there are none."""
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(operations.items()))


def check_report(folder: Path, public_key: Ed25519PublicKey) -> Summary:
    """Return the summary if the whole report is what the key's holder signed; raises ReportForged and OSError."""
    data = (folder / SUMMARY).read_bytes()
    try:
        public_key.verify((folder / SIGNATURE).read_bytes(), data)
        summary = msgspec.json.decode(data, type=Summary)
    except (InvalidSignature, msgspec.DecodeError) as error:
        raise ReportForged(f"{SUMMARY} is not what was signed with this key") from error
    for name in (OPERATIONS, PAGE):
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != summary.sha256.get(name):
                raise ReportForged(f"{name} is not what was signed")
    return summary


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in a PEM file without a password; raises ValueError and OSError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except TypeError as error:  # stop: what the library raises for a key with a password
        raise ValueError(f"the key in {path} is encrypted: a key without a password is needed") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the public key in a PEM file; raises ValueError and OSError."""
    key = load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path} holds no Ed25519 public key")
    return key
