"""The gateway: the HTTP API. It writes requests to the log and reads answers from the projection.

Publishes `mint.requested`, `mint.cancelled`, `collection.requested`, each once, and `collection.updated`,
`collection.sync_requested`, `upload.requested`; puts uploaded images in the object store. Has no consumer: whoever
follows an operation is fed by one reader of MINT a process. Reads the indexer's tables through a read-only role; mints
go on when they are away.

The rooms: `api` (routes, bodies, errors), `texts` and `requests` (what may be sent), `domain`, `meaning`, `identity`,
`status`, `retrying`, `progress` (decisions), `images`, `handlers`, `operations`, `curating`, `uploading`, `stats`,
`wallets`, `following`, `results` (the order of doing), `ports` and `adapters` (Postgres, Solana), `server`, `settings`,
`main`. Not done here: pinning, minting, and writing any table.
"""
