"""What every service that asks a Solana node may be told. Pure; the calls are those of `json_rpc` and the adapters."""


class ChainUnavailable(Exception):
    """No node gave an answer that can be used. It proves nothing; ask again later."""
