"""A local Solana cluster in one process: the real runtime (LiteSVM) behind Solana's own RPC interface.

Layers, each importing only those above it:

- `model`, `wire`: values and transaction bytes;
- `svm`: the only importer of `solders.litesvm`;
- `accounts`, `chain`, `pool`, `slot`, `ledger`: the chain itself, synchronous and without I/O;
- `store`: the ledger on disk (SQLite);
- `node`: the asyncio shell that makes slots, stores them, then shows them;
- `das_feed`: keeps the asset index of `localnet.das` in step with the chain at `confirmed`;
- `rpc`, `methods/`, `subscriptions`, `websocket`, `server`: what clients see; `faults`: what they may suffer.

For local use only: one validator, no consensus, no networking with other nodes.
"""
