"""The facts of the periodic audit that looks whether what was pinned is still there.

`audit_started` (ipfs; whoever says it first runs the audit) -> `vanished` and `restored` for what was found missing
-> `audit_ended`. An audit is numbered by its period, so that one of many workers runs it.
"""

from typing import ClassVar

from contracts.fact import Count, Fact, Index
from contracts.upload import CidText


def content_fence(cid: str) -> str:
    """Return the pattern of every fact about one content: vanished, restored."""
    return f"content.*.v1.{cid}"


class AuditStarted(Fact, frozen=True, kw_only=True):
    """A worker audits what was pinned. An audit without an end was interrupted; the next period's makes up for it."""

    SUBJECT: ClassVar[str] = "content.audit_started.v1.{audit}"

    audit: Index
    """Periods since 1970-01-01T00:00:00Z."""


class AuditEnded(Fact, frozen=True, kw_only=True):
    """The audit has looked for everything that the log called pinned before it started."""

    SUBJECT: ClassVar[str] = "content.audit_ended.v1.{audit}"

    audit: Index
    checked: Count
    vanished: Count
    restored: Count


class Vanished(Fact, frozen=True, kw_only=True):
    """Pinning services no longer have content that was pinned with them."""

    SUBJECT: ClassVar[str] = "content.vanished.v1.{cid}"

    cid: CidText
    audit: Index
    providers: tuple[str, ...]


class Restored(Fact, frozen=True, kw_only=True):
    """Vanished content was pinned again."""

    SUBJECT: ClassVar[str] = "content.restored.v1.{cid}"

    cid: CidText
    audit: Index
    providers: tuple[str, ...]
    source: str
    """Where its bytes were had: a pinning service, the gateway, the object store, or made anew from the request."""
