"""The ipfs service: pins the content of requested mints and collections, and tells the log what it is called.

Consumes `mint.requested` and `collection.requested`; publishes `mint.pinned`, `mint.pin_failed`, `collection.pinned`
and, when the content can never be pinned, `collection.failed`. No database: what is done is what the log says.

The rooms: `domain` (decisions), `metadata` (canonical JSON), `content` (fetch, check, name, pin), `handlers` (decode,
decide, publish), `ports` and `adapters` (Kubo's RPC API, Pinata), `settings`, `main`. Not done here: anything on chain.
"""
