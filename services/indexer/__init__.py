"""The indexer: projects the log into Postgres, and says what follows from it.

Reads every message of MINT and COLLECTION; writes `mint.completed` and `collection.counted`. The only writer of the
tables in `sql/migrations`, which the gateway reads.
"""
