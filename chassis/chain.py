"""What every service that asks a Solana node may be told. Pure; the calls are those of `json_rpc` and the adapters."""

from chassis.redaction import Secret


class ChainUnavailable(Exception):
    """No node gave an answer that can be used. It proves nothing; ask again later."""


def node_urls(first: Secret, others: Secret | None) -> list[str]:
    """Return the URLs of RPC_URL and of the comma-separated BACKUP_RPC_URLS in their order, each once."""
    listed = others.reveal().split(",") if others else []
    return list(dict.fromkeys(url.strip() for url in (first.reveal(), *listed) if url.strip()))
