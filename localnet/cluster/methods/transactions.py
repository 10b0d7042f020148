"""RPC methods that send, try and price transactions.

Messages, codes and limits follow Agave's RPC service, because clients match on them.
"""

from __future__ import annotations

import base64
import binascii

from solders.hash import Hash
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from bubblegum import base58
from bubblegum.errors import DecodeError
from localnet.cluster.airdrop import airdrop_transaction
from localnet.cluster.context import Context, Methods, answer
from localnet.cluster.encoding import account_json, blockhash_json, inner_json
from localnet.cluster.model import Block, Commitment, Json
from localnet.cluster.params import (
    INTERNAL_ERROR,
    PREFLIGHT_FAILURE,
    SIGNATURE_VERIFICATION_FAILURE,
    Config,
    Params,
    RpcError,
    blockhash,
    invalid,
)
from localnet.cluster.svm import Simulation
from localnet.cluster.txerror import sentence
from localnet.cluster.wire import LookupFailed, MalformedTransaction, ParsedTransaction, parse, parsed

# Agave: `MAX_BASE58_SIZE`, `MAX_BASE64_SIZE` (the longest texts of a full packet) and the packet size.
_MAX_TEXT = {"base58": 1683, "base64": 1644}
_PACKET_BYTES = 1232
MAX_SIMULATED_ACCOUNTS = 32
MAX_AIRDROP_LAMPORTS = 100_000 * 1_000_000_000


def decode_transaction(text: str, encoding: str) -> ParsedTransaction:
    """A transaction from its text. Raises RpcError."""
    most = _MAX_TEXT.get(encoding)
    if most is None:
        raise invalid(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    kind = f"{encoding} encoded solana_transaction::versioned::VersionedTransaction"
    if len(text) > most:
        raise invalid(f"{kind} too large: {len(text)} bytes (max: encoded/raw {most}/{_PACKET_BYTES})")
    try:
        wire = base64.b64decode(text, validate=True) if encoding == "base64" else base58.decode(text)
    except (binascii.Error, DecodeError, ValueError) as error:
        raise invalid(f"invalid {encoding} encoding: {error}") from error
    try:
        return parse(wire)
    except MalformedTransaction as error:
        raise invalid(f"failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}") from error


def _verified(transaction: ParsedTransaction) -> bool:
    return all(transaction.transaction.verify_with_results())


async def send_transaction(context: Context, params: Params) -> Json:
    """`sendTransaction`: checks as asked, then hands over to the pool; the answer is only the signature.

    `maxRetries` has no effect: the pool always tries until the blockhash expires.
    """
    config = params.config(1)
    transaction = decode_transaction(params.text(0, "transaction"), config.text("encoding", "base58") or "base58")
    verified = _verified(transaction)
    if not config.flag("skipPreflight"):
        if not verified:
            raise RpcError(SIGNATURE_VERIFICATION_FAILURE, "Transaction signature verification failure")
        _preflight(context, transaction, config)
    faults = context.node.faults
    # Without preflight, a node passes on what it is given; the leader drops bad signatures, and nobody is told.
    if verified and not faults.drops_send():
        context.node.ledger.submit(transaction)
    if faults.breaks_send_answer():
        raise RpcError(INTERNAL_ERROR, "Internal error: injected after the transaction was passed on")
    return transaction.signature


def _preflight(context: Context, transaction: ParsedTransaction, config: Config) -> None:
    level = config.commitment(name="preflightCommitment")
    bank = context.bank(Config({"commitment": level.value, "minContextSlot": config.raw("minContextSlot")}))
    simulation = context.node.ledger.simulate(transaction, bank)
    if simulation.outcome.err is None:
        return
    data = _simulation_json(simulation)
    raise RpcError(PREFLIGHT_FAILURE, f"Transaction simulation failed: {sentence(simulation.outcome.err)}", data)


def _simulation_json(simulation: Simulation) -> dict[str, Json]:
    outcome = simulation.outcome
    returned = outcome.return_data
    return {
        "err": outcome.err,
        "logs": list(outcome.logs),
        "accounts": None,
        "unitsConsumed": outcome.compute_units,
        "returnData": None
        if returned is None
        else {
            "programId": str(Pubkey(returned.program_id)),
            "data": [base64.b64encode(returned.data).decode("ascii"), "base64"],
        },
        "innerInstructions": None,
        "replacementBlockhash": None,
    }


async def simulate_transaction(context: Context, params: Params) -> Json:
    """`simulateTransaction`."""
    config = params.config(1)
    transaction = decode_transaction(params.text(0, "transaction"), config.text("encoding", "base58") or "base58")
    check_signatures, replace = config.flag("sigVerify"), config.flag("replaceRecentBlockhash")
    if check_signatures and replace:
        raise invalid("sigVerify may not be used with replaceRecentBlockhash")
    bank = context.bank(config)
    if check_signatures and not _verified(transaction):
        raise RpcError(SIGNATURE_VERIFICATION_FAILURE, "Transaction signature verification failure")
    if replace:
        transaction = _with_blockhash(transaction, bank.hash)
    simulation = context.node.ledger.simulate(transaction, bank)
    value = _simulation_json(simulation)
    value["accounts"] = _simulated_accounts(context, simulation, bank, config)
    if config.flag("innerInstructions"):
        value["innerInstructions"] = _simulated_inner(context, transaction, simulation, bank)
    if replace:
        value["replacementBlockhash"] = blockhash_json(bank)
    return answer(bank, value)


def _with_blockhash(transaction: ParsedTransaction, recent: Hash) -> ParsedTransaction:
    message = transaction.transaction.message
    if isinstance(message, MessageV0):
        fresh: Message | MessageV0 = MessageV0(
            message.header, message.account_keys, recent, message.instructions, message.address_table_lookups
        )
    else:
        header = message.header
        fresh = Message.new_with_compiled_instructions(
            header.num_required_signatures,
            header.num_readonly_signed_accounts,
            header.num_readonly_unsigned_accounts,
            message.account_keys,
            recent,
            message.instructions,
        )
    return parsed(VersionedTransaction.populate(fresh, transaction.transaction.signatures))


def _simulated_accounts(context: Context, simulation: Simulation, bank: Block, config: Config) -> Json:
    wanted = config.section("accounts")
    if wanted is None:
        return None
    addresses = Params([wanted.raw("addresses")]).texts(0, "addresses", MAX_SIMULATED_ACCOUNTS)
    shape = Config({"encoding": wanted.text("encoding", "base64")})
    found: list[Json] = []
    for address in addresses:
        key = Params([address]).pubkey(0)
        account = simulation.accounts.get(key) or context.node.ledger.account(key, bank)
        found.append(None if account is None else account_json(account, shape))
    return found


def _simulated_inner(context: Context, transaction: ParsedTransaction, simulation: Simulation, bank: Block) -> Json:
    try:
        keys = context.node.ledger.keys_of(transaction, bank)
    except LookupFailed:  # stops: the simulation says so in `err`, and nothing was run
        return []
    return inner_json(simulation.outcome.inner, [str(key) for key in keys.every], written_out=True)


async def get_fee_for_message(context: Context, params: Params) -> Json:
    """`getFeeForMessage`: lamports, or null when the message's blockhash has expired."""
    try:
        raw = base64.b64decode(params.text(0, "message"), validate=True)
        message = MessageV0.from_bytes(raw[1:]) if raw and raw[0] & 0x80 else Message.from_bytes(raw)
        signatures = [Signature.default()] * message.header.num_required_signatures
        transaction = parsed(VersionedTransaction.populate(message, signatures))
    except Exception as error:  # stops: solders raises many types, all of them say that this is no message
        raise invalid(f"failed to deserialize message: {error}") from error
    bank = context.bank(params.config(1))
    if not context.node.ledger.chain.accepts_blockhash(transaction.blockhash, bank):
        return answer(bank, None)
    return answer(bank, context.node.ledger.fee(transaction))


async def request_airdrop(context: Context, params: Params) -> Json:
    """`requestAirdrop`: a real transfer from the faucet, which lands as any transaction does."""
    to, lamports = params.pubkey(0), params.natural(1, "lamports", MAX_AIRDROP_LAMPORTS)
    recent = context.node.ledger.chain.at(Commitment.FINALIZED)
    text = params.config(2).text("recentBlockhash")
    chosen = Hash.from_bytes(blockhash(text)) if text is not None else recent.hash
    transaction = airdrop_transaction(context.node.faucet, to, lamports, chosen)
    if not context.node.ledger.submit(transaction):
        raise RpcError(INTERNAL_ERROR, "Internal error: the cluster's queue is full")
    return transaction.signature


METHODS: Methods = {
    "sendTransaction": send_transaction,
    "simulateTransaction": simulate_transaction,
    "getFeeForMessage": get_fee_for_message,
    "requestAirdrop": request_airdrop,
}
