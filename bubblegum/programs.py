"""Addresses of the programs that a compressed NFT touches.

Used by every encoder and decoder here, and by the local cluster to know which bytecode goes where. The addresses are
the deployed ones, equal on mainnet, devnet and the local cluster.
"""

from typing import Final

from solders.pubkey import Pubkey

BUBBLEGUM: Final = Pubkey.from_string("BGUMAp9Gq7iTEuizy4pqaxsTyUCBK68MDfK752saRPUY")

SPL_ACCOUNT_COMPRESSION: Final = Pubkey.from_string("cmtDvXumGCrqC1Age74AVPhSRVXJMd8PJS91L8KbNCK")
"""Owner of V1 trees."""
MPL_ACCOUNT_COMPRESSION: Final = Pubkey.from_string("mcmt6YrQEMKw8Mw43FmpRLmf7BqRnFMKmAcbxE3xkAW")
"""Owner of V2 trees."""

SPL_NOOP: Final = Pubkey.from_string("noopb9bkMVfRPU8AsbpTUg8AQkHtKwMYZiFUjNRtMmV")
"""Carries the log events of V1 trees in its instruction data."""
MPL_NOOP: Final = Pubkey.from_string("mnoopTCrg4p8ry25e4bcWA9XZjbNjMTfgYVGGEdRsf3")
"""Carries the log events of V2 trees in its instruction data."""

TOKEN_METADATA: Final = Pubkey.from_string("metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s")
MPL_CORE: Final = Pubkey.from_string("CoREENxT6tW1HoK8ypY1SxRMZTcVPm7R94rH4PZNhX7d")
MPL_CORE_CPI_SIGNER: Final = Pubkey.from_string("CbNY3JiXdXNE9tPNEk1aRZVEkWdj2v7kfJLNQwZZgpXk")
"""The address with which Bubblegum signs its calls into MPL-Core: PDA `["mpl_core_cpi_signer"]` of Bubblegum."""

SYSTEM: Final = Pubkey.from_string("11111111111111111111111111111111")
TOKEN: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ASSOCIATED_TOKEN: Final = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
COMPUTE_BUDGET: Final = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
ADDRESS_LOOKUP_TABLE: Final = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")

NOOP_PROGRAMS: Final = frozenset({SPL_NOOP, MPL_NOOP})
COMPRESSION_PROGRAMS: Final = frozenset({SPL_ACCOUNT_COMPRESSION, MPL_ACCOUNT_COMPRESSION})
