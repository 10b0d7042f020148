"""The address that marks a transaction: put on it by whoever makes it, asked for by whoever looks for it afterwards.

Used by the minter, which signs and looks after a loss of the log, and by audits. What a transaction is called is the
caller's.
"""

import hashlib

from solders.pubkey import Pubkey


def reference(label: str) -> Pubkey:
    """Return the address that marks the transaction called `label`: nobody's account, read by nothing.

    Two mints of the same content are the same instructions, and under the same blockhash they would be one transaction
    with one signature, of which a cluster takes one. The mark makes each its own. It also finds every attempt on chain
    (getSignaturesForAddress), as the reference keys of Solana Pay's specification do.
    """
    return Pubkey(hashlib.sha256(f"mintstream {label}".encode()).digest())
