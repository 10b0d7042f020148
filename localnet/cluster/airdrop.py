"""The faucet's transfer.

Used by `requestAirdrop`. Each has a random memo, so that two equal airdrops with one blockhash are two transactions.
"""

from __future__ import annotations

import secrets

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from localnet.cluster.wire import ParsedTransaction, parsed

MEMO_PROGRAM = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")


def airdrop_transaction(faucet: Keypair, to: Pubkey, lamports: int, recent: Hash) -> ParsedTransaction:
    """A signed transfer of `lamports` from the faucet."""
    instructions = [
        transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=to, lamports=lamports)),
        Instruction(MEMO_PROGRAM, secrets.token_hex(8).encode("ascii"), []),
    ]
    message = Message.new_with_blockhash(instructions, faucet.pubkey(), recent)
    return parsed(VersionedTransaction(message, [faucet]))
