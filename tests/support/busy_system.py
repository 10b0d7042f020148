"""What fills the console's page of the system: an hour of mints that did not happen, and dead letters."""

from math import sin
from uuid import UUID

import msgspec

from contracts.collection import CollectionSyncRequested
from contracts.dead import DeadLetter
from contracts.streams import COLLECTION
from tests.support.stack import LiveStack


async def made_up_hour(live: LiveStack) -> int:
    """Count mints in most minutes of the last hour that did not happen; return in how many."""
    busy = [ago for ago in range(3, 55) if ago % 23 > 6]
    rows = [(f"{ago} minutes", round(30 + 22 * sin(ago / 6) + 6 * sin(ago * ago)), 4 * (ago % 17 == 0)) for ago in busy]
    minute = "date_trunc('minute', now()) - $1::text::interval"
    async with live.database() as database:
        await database.executemany(
            "INSERT INTO mint_minutes (minute, operations, asked, minted, failed) "
            f"SELECT {minute}, 1, $2::int + $3::int, $2, $3 ON CONFLICT DO NOTHING",
            rows,
        )
        await database.executemany(
            "INSERT INTO mint_latencies (minute, up_to_ms, items) "
            f"SELECT {minute}, up_to, $2 FROM unnest($3::int[]) AS up_to ON CONFLICT DO NOTHING",
            [
                (f"{ago} minutes", 10, [820 + 180 * (sin(ago * ago) > 0.4), 1500 + 700 * (sin(3 * ago) > 0.5)])
                for ago in busy
            ],
        )
    return len(busy)


async def given_up(live: LiveStack, collection: UUID) -> tuple[int, int]:
    """Bury a request that may be said again, and one that the log has gone on without; return their numbers."""
    sync = CollectionSyncRequested(collection=collection)
    said_at = await live.log.publish(sync, cause=None)
    raw = await anext(live.log.read(COLLECTION, said_at - 1))
    letter = DeadLetter(
        stream="COLLECTION",
        consumer="indexer-collection",
        subject_name=sync.subject(),
        stream_sequence=said_at,
        reason="TimeoutError: the node did not answer",
        deliveries=8,
        payload=raw.payload.decode(),
        headers=dict(raw.headers),
    )
    other = msgspec.structs.replace(letter, payload="{}", reason="UndecodableMessage: it is empty")
    return await live.log.publish(letter, cause=None), await live.log.publish(other, cause=None)
