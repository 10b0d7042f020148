"""The periodic audit: what the log calls pinned is looked for with every pinning service, and pinned again if gone.

Run by `main` in the background. One worker runs each period's audit: the one whose `content.audit_started` is first on
the log. A service that does not answer has lost nothing: unknown is not vanished. What is gone is found again over the
network of IPFS nodes by the service itself, or else fetched through the gateway, held against its CID and sent again; a
metadata directory that nobody has is made again from the log (`rebuilding`). Not done here: deleting anything.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chassis import telemetry
from chassis.clock import Clock
from chassis.images import MAX_IMAGE_BYTES
from chassis.log import EventLog, LogReader, LogUnavailable
from contracts import registry
from contracts.collection import CollectionPinned
from contracts.content import AuditEnded, AuditStarted, Restored, Vanished
from contracts.fact import Event
from contracts.mint import Pinned
from contracts.registry import UndecodableMessage
from contracts.streams import COLLECTION, CONTENT, MINT, Stream
from contracts.upload import UploadPinned
from services.ipfs.bodies import OnDisk, temporary
from services.ipfs.pictures import file_cid
from services.ipfs.ports import (
    Content,
    ContentMismatch,
    IpfsGateway,
    Pinnable,
    PinningService,
    PinRefused,
    PinUnavailable,
)
from services.ipfs.rebuilding import PROFILES, rebuilt
from unixfs import Cid, CidError

REMEMBERED_CIDS: Final = 100_000
"""CIDs that one audit has looked for and does not look for again; forgetting one costs a question, nothing else."""

MAX_RESTORED_BYTES: Final = MAX_IMAGE_BYTES

_AUDITED: Final = (Pinned.type(), CollectionPinned.type(), UploadPinned.type())
_log = telemetry.get_logger(__name__)


@dataclass(slots=True)
class Tally:
    """What an audit has seen so far."""

    checked: int = 0
    vanished: int = 0
    restored: int = 0


class Audit:
    """Audits every `period` seconds, counted from 1970, for as long as `run` runs."""

    def __init__(
        self,
        log: EventLog,
        reader: LogReader,
        services: Sequence[PinningService],
        gateway: IpfsGateway | None,
        clock: Clock,
        *,
        period: float,
    ) -> None:
        self._log = log
        self._reader = reader
        self._services = tuple(services)
        self._gateway = gateway
        self._clock = clock
        self._period = period

    async def run(self) -> None:
        """Wait for the next period, audit if nobody else does, and so on, until cancelled."""
        while True:
            now = self._clock.now().timestamp()
            number = int(now // self._period) + 1
            await self._clock.sleep(number * self._period - now)
            try:
                await self.audit(number)
            except LogUnavailable as error:  # retry: with the next period, which looks for everything anew
                _log.warning("audit interrupted", audit=number, reason=str(error))

    async def audit(self, number: int) -> Tally | None:
        """Run audit `number` unless another worker has started it; return what was found, None if not run.

        Raises LogUnavailable.
        """
        if not await self._log.publish_once(AuditStarted(audit=number), cause=None):
            return None
        started = await self._log.last(AuditStarted, audit=number)
        assert started is not None, "it was just acknowledged"
        tally = Tally()
        seen: OrderedDict[Cid, None] = OrderedDict()
        for stream in (MINT, COLLECTION, CONTENT):
            async for event in self._pinned(stream):
                for cid in root_cids(uris(event.data)):
                    if cid in seen:
                        continue
                    seen[cid] = None
                    if len(seen) > REMEMBERED_CIDS:
                        seen.popitem(last=False)
                    await self._look_for(cid, event.data, number, started.event, tally)
        ended = AuditEnded(audit=number, checked=tally.checked, vanished=tally.vanished, restored=tally.restored)
        await self._log.publish_once(ended, cause=started.event)
        _log.info(ended.type(), audit=number, checked=tally.checked, vanished=tally.vanished, restored=tally.restored)
        return tally

    async def _pinned(self, stream: Stream) -> AsyncGenerator[Event[Any]]:
        """Yield the facts about pinned content that the stream holds now."""
        end = await self._reader.last_sequence(stream)
        if end == 0:
            return
        async for raw in self._reader.read(stream, 0):
            if registry.type_of(raw.subject) in _AUDITED:
                try:
                    yield registry.decode(raw.subject, raw.payload)
                except UndecodableMessage as error:  # go on: one odd message hides no other content
                    _log.warning("not audited", subject=raw.subject, reason=str(error))
            if raw.sequence >= end:
                return

    async def _look_for(
        self,
        cid: Cid,
        fact: Pinned | CollectionPinned | UploadPinned,
        number: int,
        cause: Event[AuditStarted],
        tally: Tally,
    ) -> None:
        tally.checked += 1
        answers = await asyncio.gather(*(each.has(cid) for each in self._services), return_exceptions=True)
        missing: list[PinningService] = []
        for service, answer in zip(self._services, answers, strict=True):
            if isinstance(answer, PinUnavailable | PinRefused | ContentMismatch):
                # Whatever else it says instead of yes or no: nothing is known of this copy.
                _log.warning("not audited", provider=service.name, cid=str(cid), reason=str(answer))
            elif isinstance(answer, BaseException):
                raise answer
            elif not answer:
                missing.append(service)
        if not missing:
            return
        tally.vanished += 1
        names = tuple(service.name for service in missing)
        await self._log.publish(Vanished(cid=str(cid), audit=number, providers=names), cause=cause)
        restored, source = await self._restore(cid, fact, missing)
        if restored:
            await self._log.publish(
                Restored(cid=str(cid), audit=number, providers=restored, source=source), cause=cause
            )
        if len(restored) == len(missing):
            tally.restored += 1
        else:
            _log.error("content is gone", cid=str(cid), providers=sorted(set(names) - set(restored)))

    async def _restore(
        self, cid: Cid, fact: Pinned | CollectionPinned | UploadPinned, missing: Sequence[PinningService]
    ) -> tuple[tuple[str, ...], str]:
        """Return the names of the services that have it again, and where the content was had."""
        found: list[str] = []
        sources: list[str] = []
        left: list[PinningService] = []
        for service in missing:
            try:
                await service.pin_by_cid(cid)
                found.append(service.name)
            except (PinUnavailable, PinRefused, ContentMismatch) as error:  # go on: with the bytes, if they can be had
                _log.warning("not found by itself", provider=service.name, cid=str(cid), reason=str(error))
                left.append(service)
        if found:
            sources.append("ipfs")
        folder = await rebuilt(self._log, cid, fact) if left and isinstance(fact, Pinned) else None
        if folder is not None:
            again, source = await self._pin_with(left, folder), "log"
        elif left and self._gateway is not None:
            again, source = await self._send_again(cid, left, self._gateway), self._gateway.url
        else:
            return tuple(found), ", ".join(sources)
        if again:
            sources.append(source)
        return (*found, *again), ", ".join(sources)

    async def _send_again(self, cid: Cid, services: Sequence[PinningService], gateway: IpfsGateway) -> list[str]:
        async with temporary() as (path, file):
            try:
                size = await gateway.fetch(cid, file, MAX_RESTORED_BYTES)
                await asyncio.to_thread(file.flush)
            except (PinUnavailable, OSError) as error:  # go on: the next audit tries again, perhaps with a larger disk
                _log.warning("not fetched", cid=str(cid), reason=str(error))
                return []
            if size is None or not await asyncio.to_thread(names, cid, path):
                return []
            content = Content(OnDisk(path, size), cid, str(cid), "application/octet-stream")
            return await self._pin_with(services, content)

    async def _pin_with(self, services: Sequence[PinningService], content: Pinnable) -> list[str]:
        """Send the content to each service; return the names of those that have it now."""
        sent: list[str] = []
        for service in services:
            try:
                await service.pin(content)
                sent.append(service.name)
            except (PinUnavailable, PinRefused, ContentMismatch) as error:  # go on: the next audit tries again
                _log.warning("not pinned again", provider=service.name, cid=str(content.cid), reason=str(error))
        return sent


def uris(fact: Pinned | CollectionPinned | UploadPinned) -> Iterable[str]:
    """Yield the URIs that we have pinned. Images are told by `upload.pinned`: those of `mint.pinned` may be others'."""
    if isinstance(fact, Pinned):
        yield from (item.uri for item in fact.items)
    else:
        yield fact.uri


def root_cids(uris: Iterable[str]) -> Iterable[Cid]:
    """Yield the roots of `ipfs://` URIs; others cannot be audited."""
    for uri in uris:
        scheme, _, rest = uri.partition("://")
        if scheme == "ipfs":
            try:
                yield Cid.parse(rest.partition("/")[0])
            except CidError:  # skip: not written by this service
                continue


def names(cid: Cid, path: Path) -> bool:
    """Return whether a file's bytes have this CID under one of the profiles that were ever used."""
    return any(file_cid(path, profile) == cid for profile in PROFILES)
