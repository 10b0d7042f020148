"""Methods of this cluster alone, no real node has them: faults, forks, stepping, counters. Never faulted themselves."""

from __future__ import annotations

from typing import cast

import msgspec

from localnet.cluster.context import Context, Methods
from localnet.cluster.faults import Faults
from localnet.cluster.model import Json
from localnet.cluster.params import Params, invalid

MAX_STEPS = 1_000


async def set_faults(context: Context, params: Params) -> Json:
    """`localnet_setFaults`: the fields of `Faults` in camelCase; an empty object ends all faults."""
    try:
        faults = msgspec.convert(params.raw(0), type=Faults)
    except msgspec.ValidationError as error:
        raise invalid(f"faults: {error}") from error
    context.node.set_faults(faults)
    return await get_faults(context, params)


async def get_faults(context: Context, _params: Params) -> Json:
    """`localnet_getFaults`."""
    return cast("Json", msgspec.to_builtins(context.node.faults.faults))


async def fork(context: Context, params: Params) -> Json:
    """`localnet_fork`: drop the newest N blocks, however confirmed; finalized ones stay."""
    result = await context.node.fork(params.natural(0, "blocks"))
    return {
        "slot": result.head.slot,
        "droppedSlots": list(result.dropped_slots),
        "droppedSignatures": [transaction.signature for transaction in result.dropped],
    }


async def step(context: Context, params: Params) -> Json:
    """`localnet_step`: make N slots now (default 1); the way time passes in the stepped mode."""
    count = 1 if params.raw(0) is None else params.natural(0, "slots", MAX_STEPS)
    return (await context.node.step(count)).slot


async def stats(context: Context, _params: Params) -> Json:
    """`localnet_stats`: what waits, and what was turned away."""
    pool = context.node.ledger.pool
    return {"pending": len(pool), "refused": pool.refused, "programs": context.node.programs.banner()}


METHODS: Methods = {
    "localnet_setFaults": set_faults,
    "localnet_getFaults": get_faults,
    "localnet_fork": fork,
    "localnet_step": step,
    "localnet_stats": stats,
}
