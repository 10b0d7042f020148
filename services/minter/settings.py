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
            pattern=r"^https?://",
            examples=["http://127.0.0.1:8899"],
        ),
    ]
    backup_rpc_urls: Annotated[
        Secret | None,
        Meta(
            description="Further endpoints, comma separated, in the order in which they are asked.",
            examples=["https://one.example,https://two.example"],
        ),
    ] = None
    das_url: Annotated[
        Secret | None, Meta(description="Endpoint of the Digital Asset Standard API; RPC_URL when absent.")
    ] = None
    ws_url: Annotated[
        Secret | None,
        Meta(
            description="WebSocket endpoint of a node, on which confirmations are heard of sooner than by looking.",
            examples=["ws://127.0.0.1:8900"],
        ),
    ] = None
    rpc_timeout_ms: Annotated[
        int, Meta(description="Milliseconds that a node has for one answer.", ge=100, le=60_000)
    ] = 10_000
    rpc_hedge_ms: Annotated[
        int, Meta(description="Milliseconds after which a read is put to the next node as well.", ge=10, le=60_000)
    ] = 1_000
    rpc_broadcast: Annotated[int, Meta(description="Nodes that each transaction is sent to at once.", ge=1, le=16)] = 2
    rpc_max_lag_slots: Annotated[
        int, Meta(description="Slots behind the newest node from which on a node is asked last.", ge=0, le=10_000)
    ] = 8
    network: Annotated[
        Literal["mainnet-beta", "devnet", "testnet", "localnet"],
        Meta(description="Which cluster the endpoints belong to; a node of another one is not used."),
    ] = "mainnet-beta"
    solana_commitment: Annotated[
        Literal["confirmed", "finalized"],
        Meta(
            description="When an NFT counts as minted. `processed` is not offered: such a block may yet be dropped, "
            "and whoever was told so would have to be told otherwise."
        ),
    ] = "confirmed"
    private_key: Annotated[
        Secret | None,
        Meta(
            description="The minting wallet: 64-byte keypair in base58, or a JSON array of bytes. A file that "
            "PRIVATE_KEY_FILE names must be readable by its owner alone. Not given when REMOTE_SIGNER_URL is."
        ),
    ] = None
    remote_signer_url: Annotated[
        Secret | None,
        Meta(
            description="Where the wallet's signatures are asked for when its key is kept elsewhere.",
            examples=["https://signer.example/sign"],
        ),
    ] = None
    remote_signer_token: Annotated[Secret | None, Meta(description="Bearer token for REMOTE_SIGNER_URL.")] = None
    remote_signer_address: Annotated[
        str | None, Meta(description="The wallet's address, when its key is kept elsewhere.")
    ] = None
    remote_signer_timeout_ms: Annotated[
        int, Meta(description="Milliseconds that the remote signer has for one signature.", ge=100, le=60_000)
    ] = 5_000
    derivation_seed: Annotated[
        Secret | None,
        Meta(
            description="At least 32 bytes from which the keys of new trees and collections are derived, instead of "
            "from the wallet's key. Needed with REMOTE_SIGNER_URL. Never change it while a collection is being made."
        ),
    ] = None
    fee_payers: Annotated[
        Secret | None,
        Meta(
            description="Further wallets that share the fees of mints with the minting wallet: keypairs in base58, "
            "comma or line separated, or a JSON array of keypairs in either form. With REMOTE_SIGNER_URL also "
            "addresses, for which it signs. A file that FEE_PAYERS_FILE names must be readable by its owner alone."
        ),
    ] = None
    signer_max_fee_lamports: Annotated[
        int,
        Meta(description="Highest fee of a transaction that is signed, base and priority.", ge=5_000, le=10**9),
    ] = 200_000
    signer_max_spend_lamports: Annotated[
        int,
        Meta(
            description="Most that a transaction that is signed may spend beside its fee: the rent of a new tree.",
            ge=0,
            le=10**12,
        ),
    ] = 10_000_000_000
    minter_concurrency: Annotated[
        int, Meta(description="Chunks that are worked on at once, and as many first chunks.", ge=1, le=1024)
    ] = 32
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
    priority_fee_percentile: Annotated[
        int,
        Meta(
            description="The priority fee is the one that this percentage of recent blocks did not ask more than, for "
            "the accounts that a transaction writes; 0 offers none.",
            ge=0,
            le=100,
        ),
    ] = 50
    priority_fee_cap_lamports: Annotated[
        int, Meta(description="Highest priority fee of one transaction.", ge=0, le=10**9)
    ] = 100_000
    min_balance_lamports: Annotated[
        int,
        Meta(
            description="What the wallet must hold beyond the rents that instructions name, for fees and for the rents "
            "that programs take themselves. Below it, minting waits until the wallet is topped up.",
            ge=1_000_000,
            le=1_000_000_000_000,
        ),
    ] = 50_000_000
