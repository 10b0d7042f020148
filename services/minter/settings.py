"""The minter's settings."""

from typing import Annotated, Literal

from msgspec import Meta

from chassis.settings import Secret, ServiceSettings


class MinterSettings(ServiceSettings, frozen=True, kw_only=True):
    """What the minter reads from its environment; names as in the source document where it has one."""

    rpc_url: Annotated[
        Secret,
        Meta(
            description="Solana JSON-RPC endpoint; secret because providers put the key into it.",
            examples=["http://127.0.0.1:8899"],
        ),
    ]
    private_key: Annotated[
        Secret,
        Meta(description="The minting wallet: 64-byte keypair in base58, or a JSON array of bytes."),
    ]
    network: Annotated[
        Literal["mainnet-beta", "devnet", "testnet", "localnet"], Meta(description="Which cluster RPC_URL belongs to.")
    ] = "mainnet-beta"
    minter_concurrency: Annotated[int, Meta(description="Chunks that are worked on at once.", ge=1, le=1024)] = 32
    minter_max_in_flight: Annotated[
        int, Meta(description="Transactions in flight at once, over all chunks.", ge=1, le=4096)
    ] = 256
    status_interval_ms: Annotated[
        int, Meta(description="Milliseconds between two looks at the signatures in flight.", ge=20, le=10_000)
    ] = 200
    lookup_tables: Annotated[
        bool,
        Meta(description="Make an address lookup table for each new tree, so that a transaction holds more mints."),
    ] = True
    tree_successor_at: Annotated[
        float,
        Meta(
            description="Part of a collection's leaves in use at which it gets a further tree; 1 is never.",
            ge=0.1,
            le=1,
        ),
    ] = 0.9
    priority_fee_micro_lamports: Annotated[
        int, Meta(description="Priority fee in micro-lamports a compute unit.", ge=0, le=1_000_000)
    ] = 0
