"""The gateway: the HTTP API. It writes requests to the log and reads answers from the projection.

Publishes `mint.requested`, `mint.cancelled`, `collection.requested`, each once, and `collection.updated`,
`collection.sync_requested`, `upload.requested`, `login.redeemed`; puts uploaded images in the object store. Has no
consumer: whoever follows an operation is fed by one reader of MINT a process, and one of ACCESS knows the API keys.
Reads the indexer's tables through a read-only role; mints go on when they are away.

The rooms: `api` (routes, bodies, errors, who is let in), `callers`, `tokens`, `signing_in`, `knowing`, `limiting`,
`entrance` (who may do what), `texts` and `requests` (what may be sent), `domain`, `meaning`, `identity`, `status`,
`retrying`, `progress` (decisions), `images`, `handlers`, `operations`, `curating`, `uploading`, `stats`, `wallets`,
`following`, `results` (the order of doing), `ports` and `adapters` (Postgres, Solana, Redis), `server`, `connections`,
`settings`, `main`. Not done here: pinning, minting, and writing any table.
"""
