"""The ipfs service: pins the content of requested mints, collections and uploads, and tells the log what it is called.

Consumes `mint.requested`, `collection.requested` and `upload.requested`; publishes `pinned` of each, `mint.pin_failed`,
`collection.failed` and `upload.failed` where content can never be pinned, and the facts of its audits (`content.*`). No
database: what is done is what the log says. docs/ipfs.md tells the whole.

The rooms: `domain` (decisions), `metadata` (canonical JSON), `pictures` (uploads to images), `bodies` (bytes,
streamed), `pinning` (images; `outside_turns` those of others' servers) and `content` (NFTs, collections, uploads:
fetch, check, name, pin), `uploads` (what is pinned for ever), `quorum` (several services as one), `audit`, `handlers`
(decode, decide, publish), `sessions`, `ports` and `adapters` (Kubo, Pinata, the Pinning Service API, gateways, others'
servers), `settings`, `main`. Not done here: anything on chain.
"""
