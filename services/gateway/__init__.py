"""The gateway: the HTTP API. It writes requests to the log and reads answers from the projection.

Publishes `mint.requested` and `collection.requested`, each once; puts uploaded images in the object store; consumes
nothing. Reads the indexer's tables through a read-only role, and does without them when they are away.

The rooms: `api` (routes, bodies, errors), `texts` and `requests` (what may be sent), `domain`, `meaning`, `identity`,
`status` (decisions), `images` and `handlers` (the order of doing), `ports` and `adapters` (Postgres), `server`,
`settings`, `main`. Not done here: pinning, minting, and writing any table.
"""
