"""The embedded pinning endpoint: blocks on disk, a part of Kubo's RPC API, and `/ipfs/<cid>`.

Started by `mintstream up` and the tests as `python -m localnet.ipfs`; the ipfs service reaches it with the adapter that
it uses for a real Kubo. True CIDs, durable blocks, no network: nothing here talks to other IPFS nodes or collects
garbage. Never in a service image.

The rooms: `store` (blocks and pins on disk), `adding` (a multipart upload to blocks, streaming), `rpc` (Kubo's API),
`gateway` (`/ipfs/<cid>`), `sniff` (content types), `app` (routes and limits), `__main__` (arguments, socket, signals).
"""
