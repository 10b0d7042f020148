"""Asking for a collection that was made elsewhere to be taken over. Called by `api/collections.py`.

The minter reads and judges it; here it is only asked for, once at a time: its id follows from its address.
"""

from collections.abc import Mapping

from chassis.log import EventLog, LogUnavailable, SequenceConflict
from chassis.telemetry import get_logger
from contracts.collection import CollectionCreated, CollectionFailed, CollectionImportRequested
from services.gateway.errors import CollectionExists, LogSilent, ProjectionDown
from services.gateway.handlers import NOTHING_STORED
from services.gateway.identity import imported_id
from services.gateway.ports import Projection, ProjectionUnavailable
from services.gateway.requests import ImportBody, read_body

_log = get_logger(__name__)


class Importing:
    """Takes requests for imports."""

    def __init__(self, log: EventLog, projection: Projection) -> None:
        self._log = log
        self._projection = projection

    async def request(self, fields: Mapping[str, object]) -> CollectionImportRequested:
        """Ask for the import unless it is under way; return the message that is on the log. Raises ApiError."""
        body = read_body(ImportBody, fields)
        await self._refuse_known(body.collection_address)
        wanted = CollectionImportRequested(
            collection=imported_id(body.collection_address),
            collection_address=body.collection_address,
            tree_addresses=tuple(dict.fromkeys(body.tree_addresses)),
            symbol=body.symbol,
            is_public=body.is_public,
            allow_minting=body.allow_minting,
        )
        try:
            return await self._ask(wanted)
        except LogUnavailable as error:  # stop: asking again is safe, it is one import either way
            raise LogSilent(NOTHING_STORED) from error

    async def _refuse_known(self, address: str) -> None:
        """Raise CollectionExists for a collection that was made here: its id follows from other things."""
        try:
            known = await self._projection.collection_at(address)
        except ProjectionUnavailable as error:  # stop: addresses cannot be looked up on the log by single reads
            raise ProjectionDown("Whether the collection is known cannot be told now") from error
        if known is not None:
            raise CollectionExists(str(known))

    async def _ask(self, wanted: CollectionImportRequested) -> CollectionImportRequested:
        if await self._log.last(CollectionCreated, collection=wanted.collection):
            raise CollectionExists(str(wanted.collection))
        earlier = await self._log.last(CollectionImportRequested, collection=wanted.collection)
        failed = await self._log.last(CollectionFailed, collection=wanted.collection)
        if earlier and (failed is None or failed.sequence < earlier.sequence):
            return earlier.data
        try:
            await self._log.publish(wanted, cause=None, expected_sequence=earlier.sequence if earlier else 0)
        except SequenceConflict:  # go on: somebody else has just asked for it
            said = await self._log.last(CollectionImportRequested, collection=wanted.collection)
            return said.data if said else wanted
        _log.info("import requested", collection=str(wanted.collection), address=wanted.collection_address)
        return wanted
