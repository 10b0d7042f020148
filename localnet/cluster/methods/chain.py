"""RPC methods about slots, blocks, fees and the cluster itself."""

from __future__ import annotations

from localnet.cluster.context import API_VERSION, Context, Methods, answer
from localnet.cluster.encoding import block_entry, blockhash_json
from localnet.cluster.methods.history import at_least_confirmed
from localnet.cluster.model import MAX_PROCESSING_AGE, SLOTS_PER_EPOCH, Block, Commitment, Json
from localnet.cluster.params import (
    BLOCK_NOT_AVAILABLE,
    SLOT_SKIPPED,
    Config,
    Params,
    RpcError,
    blockhash,
    invalid,
)

MAX_BLOCKS_RANGE = 500_000
MAX_PRIORITIZATION_ACCOUNTS = 128
MAX_DATA_BYTES = 10 * 1024 * 1024


async def get_slot(context: Context, params: Params) -> Json:
    """`getSlot`."""
    return context.bank(params.config(0)).slot


async def get_block_height(context: Context, params: Params) -> Json:
    """`getBlockHeight`: blocks below the newest of the commitment level, skipped slots not counted."""
    return context.bank(params.config(0)).height


async def get_latest_blockhash(context: Context, params: Params) -> Json:
    """`getLatestBlockhash`, of the newest block of the commitment level."""
    block = context.bank(params.config(0))
    return answer(block, blockhash_json(block))


async def is_blockhash_valid(context: Context, params: Params) -> Json:
    """`isBlockhashValid`."""
    raw = blockhash(params.text(0, "blockhash"))
    block = context.bank(params.config(1))
    return answer(block, context.node.ledger.chain.accepts_blockhash(raw, block))


async def get_epoch_info(context: Context, params: Params) -> Json:
    """`getEpochInfo`."""
    block = context.bank(params.config(0))
    return {
        "absoluteSlot": block.slot,
        "blockHeight": block.height,
        "epoch": block.slot // SLOTS_PER_EPOCH,
        "slotIndex": block.slot % SLOTS_PER_EPOCH,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": None,
    }


async def get_epoch_schedule(_context: Context, _params: Params) -> Json:
    """`getEpochSchedule`."""
    return {
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
        "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
        "slotsPerEpoch": SLOTS_PER_EPOCH,
        "warmup": False,
    }


async def get_genesis_hash(context: Context, _params: Params) -> Json:
    """`getGenesisHash`."""
    block = await context.node.block(0)
    if block is None:
        raise RpcError(BLOCK_NOT_AVAILABLE, "Block not available for slot 0")
    return str(block.hash)


async def get_version(context: Context, _params: Params) -> Json:
    """`getVersion`; the extra field tells people and tools what they are talking to."""
    return {"solana-core": API_VERSION, "feature-set": 0, "localnet": context.node.programs.banner()}


async def get_identity(context: Context, _params: Params) -> Json:
    """`getIdentity`: the one node's address; the faucet's, as there is no other key."""
    return {"identity": str(context.node.faucet.pubkey())}


async def get_slot_leader(context: Context, _params: Params) -> Json:
    """`getSlotLeader`: always the one node."""
    return str(context.node.faucet.pubkey())


async def get_health(_context: Context, _params: Params) -> Json:
    """`getHealth`."""
    return "ok"


async def get_block_time(context: Context, params: Params) -> Json:
    """`getBlockTime`, in Unix seconds."""
    return (await _block(context, params.natural(0, "slot"), Commitment.CONFIRMED)).time


async def _block(context: Context, slot: int, level: Commitment) -> Block:
    if slot > context.head(level).slot:
        raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
    block = await context.node.block(slot)
    if block is None:
        raise RpcError(SLOT_SKIPPED, f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot")
    return block


async def get_block(context: Context, params: Params) -> Json:
    """`getBlock` with transactionDetails full, signatures or none."""
    raw = params.raw(1)
    config = Config({"encoding": raw}) if isinstance(raw, str) else params.config(1)
    block = await _block(context, params.natural(0, "slot"), at_least_confirmed(config))
    parent = await context.node.block(block.parent_slot)
    body: dict[str, Json] = {
        "blockhash": str(block.hash),
        "previousBlockhash": str((parent or block).hash),
        "parentSlot": block.parent_slot,
        "blockHeight": block.height,
        "blockTime": block.time,
    }
    details = config.text("transactionDetails", "full")
    if details == "full":
        found = await context.node.in_store(lambda store: store.block_transactions(block.slot))
        body["transactions"] = [block_entry(tx, config) for tx in found]
    elif details == "signatures":
        body["signatures"] = list(block.signatures)
    elif details != "none":
        raise invalid(f"unsupported transactionDetails {details!r}; use full, signatures or none")
    if config.raw("rewards") is not False:
        body["rewards"] = []
    return body


async def get_blocks(context: Context, params: Params) -> Json:
    """`getBlocks`: slots with a block, from one to another or to the newest."""
    first = params.natural(0, "startSlot")
    end = params.raw(1)
    config = params.config(1) if isinstance(end, dict) else params.config(2)
    newest = context.head(at_least_confirmed(config)).slot
    last = min(params.natural(1, "endSlot"), newest) if isinstance(end, int) else newest
    if last - first > MAX_BLOCKS_RANGE:
        raise invalid(f"Slot range too large; max {MAX_BLOCKS_RANGE}")
    return list(await context.node.in_store(lambda store: store.slots_between(first, last)))


async def get_first_available_block(_context: Context, _params: Params) -> Json:
    """`getFirstAvailableBlock`: nothing is ever purged."""
    return 0


async def get_minimum_balance(context: Context, params: Params) -> Json:
    """`getMinimumBalanceForRentExemption`, in lamports."""
    return context.node.ledger.svm.rent_exempt_minimum(params.natural(0, "dataLength", MAX_DATA_BYTES))


async def get_recent_prioritization_fees(context: Context, params: Params) -> Json:
    """`getRecentPrioritizationFees`: per recent slot, the price (micro-lamports per unit) that was enough to land.

    As Agave counts it: the block's lowest price, raised by the lowest price of each writable account named.
    """
    accounts: list[bytes] = []
    if params.raw(0) is not None:
        texts = params.texts(0, "addresses", MAX_PRIORITIZATION_ACCOUNTS)
        accounts = [bytes(Params([text]).pubkey(0)) for text in texts]
    head = context.head(Commitment.PROCESSED)
    blocks = [block for block in context.node.ledger.chain.blocks() if block.height <= head.height]
    return [
        {"slot": block.slot, "prioritizationFee": _landing_price(block, accounts)}
        for block in blocks[-MAX_PROCESSING_AGE:]
    ]


def _landing_price(block: Block, accounts: list[bytes]) -> int:
    return max([block.minimum_fee, *(block.minimum_fees.get(key, 0) for key in accounts)])


async def get_cluster_nodes(context: Context, _params: Params) -> Json:
    """`getClusterNodes`: this node alone, with no gossip address."""
    return [
        {"pubkey": str(context.node.faucet.pubkey()), "gossip": None, "tpu": None, "rpc": None, "version": API_VERSION}
    ]


METHODS: Methods = {
    "getSlot": get_slot,
    "getBlockHeight": get_block_height,
    "getLatestBlockhash": get_latest_blockhash,
    "isBlockhashValid": is_blockhash_valid,
    "getEpochInfo": get_epoch_info,
    "getEpochSchedule": get_epoch_schedule,
    "getGenesisHash": get_genesis_hash,
    "getVersion": get_version,
    "getIdentity": get_identity,
    "getSlotLeader": get_slot_leader,
    "getHealth": get_health,
    "getBlockTime": get_block_time,
    "getBlock": get_block,
    "getBlocks": get_blocks,
    "getFirstAvailableBlock": get_first_available_block,
    "minimumLedgerSlot": get_first_available_block,
    "getMinimumBalanceForRentExemption": get_minimum_balance,
    "getRecentPrioritizationFees": get_recent_prioritization_fees,
    "getClusterNodes": get_cluster_nodes,
}
