"""What every service that asks a Solana node may be told. Pure; the calls are those of `json_rpc` and the adapters."""

from typing import Final

from chassis.redaction import Secret

BLOCKHASH_BLOCKS: Final = 150
"""Blocks from the one whose hash a transaction carries to its last valid block height: the runtime's
MAX_PROCESSING_AGE."""


class ChainUnavailable(Exception):
    """No node gave an answer that can be used. It proves nothing; ask again later."""


def node_urls(first: Secret, others: Secret | None) -> list[str]:
    """Return the URLs of RPC_URL and of the comma-separated BACKUP_RPC_URLS in their order, each once."""
    listed = others.reveal().split(",") if others else []
    return list(dict.fromkeys(url.strip() for url in (first.reveal(), *listed) if url.strip()))
