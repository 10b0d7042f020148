"""RPC methods that look up what landed: statuses, transactions, the history of an address."""

from __future__ import annotations

from localnet.cluster.context import Context, Methods, answer
from localnet.cluster.encoding import transaction_json
from localnet.cluster.model import Block, Commitment, ExecutedTransaction, Json
from localnet.cluster.params import Config, Params, invalid, signature

# Agave: `MAX_GET_SIGNATURE_STATUSES_QUERY_ITEMS`, `MAX_GET_CONFIRMED_SIGNATURES_FOR_ADDRESS2_LIMIT`.
MAX_STATUSES = 256
MAX_SIGNATURES_FOR_ADDRESS = 1_000


async def get_signature_statuses(context: Context, params: Params) -> Json:
    """`getSignatureStatuses`: from the status cache, and of any age when history is searched too."""
    signatures = [signature(text) for text in params.texts(0, "signatures", MAX_STATUSES)]
    history = params.config(1).flag("searchTransactionHistory")
    head = context.head(Commitment.PROCESSED)
    statuses: list[Json] = []
    for each in signatures:
        landed = await context.node.transaction(each) if history else context.node.ledger.recent_transaction(each)
        statuses.append(None if landed is None else _status(context, landed, head))
    return answer(head, statuses)


def _status(context: Context, landed: ExecutedTransaction, head: Block) -> Json:
    level = context.commitment_of(landed.slot)
    if level is None:
        return None
    block = context.node.ledger.chain.block(landed.slot)
    rooted = level is Commitment.FINALIZED or block is None
    return {
        "slot": landed.slot,
        "confirmations": None if rooted or block is None else head.height - block.height,
        "err": landed.err,
        "status": {"Ok": None} if landed.err is None else {"Err": landed.err},
        "confirmationStatus": level.value,
    }


def at_least_confirmed(config: Config) -> Commitment:
    """The commitment of a history method. Raises RpcError below confirmed, as a real node does."""
    level = config.commitment()
    if level is Commitment.PROCESSED:
        raise invalid("Method does not support commitment below `confirmed`")
    return level


async def get_transaction(context: Context, params: Params) -> Json:
    """`getTransaction`, at confirmed or finalized."""
    wanted, raw = params.signature(0), params.raw(1)
    config = Config({"encoding": raw}) if isinstance(raw, str) else params.config(1)
    newest = context.head(at_least_confirmed(config))
    landed = await context.node.transaction(wanted)
    if landed is None or landed.slot > newest.slot:
        return None
    block = await context.node.block(landed.slot)
    return None if block is None else transaction_json(landed, block, config)


async def get_signatures_for_address(context: Context, params: Params) -> Json:
    """`getSignaturesForAddress`, newest first."""
    address, config = params.pubkey(0), params.config(1)
    limit = config.natural("limit", MAX_SIGNATURES_FOR_ADDRESS) or MAX_SIGNATURES_FOR_ADDRESS
    before, until = config.text("before"), config.text("until")
    level = at_least_confirmed(config)
    newest = context.bank(Config({"commitment": level.value, "minContextSlot": config.raw("minContextSlot")}))
    found = await context.node.in_store(lambda store: store.mentions(address, limit, newest.slot, before, until))
    return [
        {
            "signature": each.signature,
            "slot": each.slot,
            "err": each.err,
            "memo": None,
            "blockTime": each.time,
            "confirmationStatus": (context.commitment_of(each.slot) or level).value,
        }
        for each in found
    ]


METHODS: Methods = {
    "getSignatureStatuses": get_signature_statuses,
    "getTransaction": get_transaction,
    "getSignaturesForAddress": get_signatures_for_address,
}
