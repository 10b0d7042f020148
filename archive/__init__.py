"""Old messages of the log, outside of it: the format, reading it, and finding in it what was said of one thing.

Written by the indexer; read by the indexer, by the gateway's audits and by the command line. The rooms: `segments` (the
format, pure), `reading` (segments in order, each checked before it is used), `finding` (what was said of one thing),
`object_store` (a folder, or an S3-compatible store). Not done here: when a message is archived, and when one leaves the
stream (`services.indexer`).
"""
