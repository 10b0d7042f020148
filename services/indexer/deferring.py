"""What a rebuild makes at its end: indexes that only readers need, and references between tables.

Kept while the tables are filled, they cost Postgres more than the rows themselves. Their definitions wait in a table of
the same schema, written in the transaction that drops them: whatever ends a rebuild, the next one finds them there.
Whatever is unique stays: rows are found by it. And so does whatever can refuse a message: the projection writes no item
without its operation and no tree without its collection, and the indexed columns are too short for an index to refuse
them. So a rebuild parks the messages that the projector parks. Used by `rebuilding`, on connections whose search path
is the one schema, which nobody reads yet.
"""

from collections.abc import Callable
from typing import Final

from chassis.database import Connection

_WORK_MEM: Final = "256MB"
"""Memory in which Postgres sorts one index; what does not fit goes over the disk."""

# An index of a partitioned table is told with ONLY, which would leave the partitions without it.
_DEFINITIONS: Final = """
SELECT c.conname AS name,
       format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname) AS undo,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
           AS statement
FROM pg_constraint AS c
WHERE c.connamespace = current_schema()::regnamespace AND c.contype = 'f' AND c.conparentid = 0
UNION ALL
SELECT x.relname, format('DROP INDEX %s', i.indexrelid::regclass),
       CASE x.relkind WHEN 'I' THEN replace(pg_get_indexdef(x.oid), ' ON ONLY ', ' ON ')
                      ELSE pg_get_indexdef(x.oid) END
FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
WHERE x.relnamespace = current_schema()::regnamespace AND NOT x.relispartition
  AND NOT i.indisunique AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = x.oid)
ORDER BY name
"""
_IS_DEFERRED: Final = "SELECT to_regclass('deferred_definitions') IS NOT NULL"

Made = Callable[[int, int], None]
"""Is told how many of the deferred definitions are made, and how many there are."""


async def defer(connection: Connection) -> None:
    """Drop what can be made later, and remember it; does nothing where that was done."""
    if await connection.fetchval(_IS_DEFERRED):
        return
    async with connection.transaction():
        definitions = await connection.fetch(_DEFINITIONS)
        await connection.execute("CREATE TABLE deferred_definitions (name TEXT PRIMARY KEY, statement TEXT NOT NULL)")
        await connection.executemany(
            "INSERT INTO deferred_definitions (name, statement) VALUES ($1, $2)",
            [(row["name"], row["statement"]) for row in definitions],
        )
        for row in definitions:
            await connection.execute(row["undo"])


async def restore(connection: Connection, made: Made) -> None:
    """Make what was deferred, one after another, each in a transaction of its own; interrupted, it is gone on with."""
    if not await connection.fetchval(_IS_DEFERRED):
        return
    await connection.execute(f"SET maintenance_work_mem = '{_WORK_MEM}'")
    definitions = await connection.fetch("SELECT name, statement FROM deferred_definitions ORDER BY name")
    for number, row in enumerate(definitions):
        made(number, len(definitions))
        async with connection.transaction():
            await connection.execute(row["statement"])
            await connection.execute("DELETE FROM deferred_definitions WHERE name = $1", row["name"])
    await connection.execute("DROP TABLE deferred_definitions")
    made(len(definitions), len(definitions))
