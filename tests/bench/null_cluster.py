"""A simulator, not a cluster: it takes every transaction for landed at once and executes nothing.

    python -m tests.bench.null_cluster PLAN PORTS_FILE

Started by the benches in the place of the local cluster, so that what they measure is our own ceiling. Its leaves are
valid: each mint instruction of a sent transaction gets the next leaf of its tree, with the hashes, the asset id and the
events that the programs would leave (`null_trees`). Everything is final in the slot in which it was sent.
There are no signatures checked, no fees charged, no accounts but the trees' configurations, and no errors.
"""

import base64
import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from solders.hash import Hash
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from starlette.types import Receive, Scope, Send

from bubblegum import base58, pda
from bubblegum.borsh import Reader
from bubblegum.instructions import BubblegumInstruction, instruction_kind
from bubblegum.instructions.discriminators import DISCRIMINATOR_BYTES
from bubblegum.merkle import TreeConfig
from bubblegum.programs import BUBBLEGUM
from bubblegum.transaction import ExecutedInstruction
from bubblegum.types import MetadataArgsV2
from tests.bench.null_trees import NullTree
from tests.bench.serving import answer, serve, whole_body

SLOT_SECONDS: Final = 0.4
VALIDITY: Final = 150
"""Blocks for which a blockhash is good."""
BALANCE: Final = 10**15
FEE: Final = 5000
UNITS: Final = 60_000
"""Compute units of a mint, as it tells in simulations."""
GENESIS: Final = str(Hash(hashlib.sha256(b"null cluster").digest()))

Json = Any


class NullPlan(msgspec.Struct, frozen=True):
    """What it knows from the start, all in base58: V2 trees, and what each lookup table holds."""

    trees: tuple[str, ...]
    depth: int
    tables: dict[str, tuple[str, ...]]


class NullCluster:
    """The answers. One JSON-RPC method is one method here."""

    def __init__(self, plan: NullPlan) -> None:
        self._trees = {each: NullTree(Pubkey.from_string(each), plan.depth) for each in plan.trees}
        self._configs = {str(pda.tree_config(Pubkey.from_string(each))): each for each in plan.trees}
        self._tables = {table: [Pubkey.from_string(each) for each in held] for table, held in plan.tables.items()}
        self._landed: dict[str, Json] = {}
        self._began = time.monotonic()
        self._methods: Mapping[str, Callable[[Sequence[Json]], Json]] = {
            "getAssetsByGroup": lambda _: {"total": 0, "limit": 1, "page": 1, "items": []},
            "getBalance": lambda _: self._at_slot(BALANCE),
            "getEpochInfo": self._epoch,
            "getFirstAvailableBlock": lambda _: 0,
            "getGenesisHash": lambda _: GENESIS,
            "getLatestBlockhash": self._blockhash,
            "getMinimumBalanceForRentExemption": lambda _: 1,
            "getMultipleAccounts": self._accounts,
            "getRecentPrioritizationFees": lambda _: [],
            "getSignatureStatuses": self._statuses,
            "getSlot": lambda _: self.slot,
            "getTransaction": self._transaction,
            "sendTransaction": self._send,
            "simulateTransaction": self._simulate,
        }

    @property
    def slot(self) -> int:
        """The slot of now, which is also the block height."""
        return 1000 + int((time.monotonic() - self._began) / SLOT_SECONDS)

    def answer(self, body: bytes) -> bytes:
        """Answer one JSON-RPC request."""
        request = msgspec.json.decode(body)
        answer: dict[str, Json] = {"jsonrpc": "2.0", "id": request["id"]}
        method = self._methods.get(request["method"])
        if method is None:
            answer["error"] = {"code": -32601, "message": "Method not found"}
        else:
            answer["result"] = method(request.get("params") or [])
        return msgspec.json.encode(answer)

    def _at_slot(self, value: Json) -> Json:
        return {"context": {"slot": self.slot}, "value": value}

    def _blockhash(self, _: Sequence[Json]) -> Json:
        digest = hashlib.sha256(str(self.slot).encode()).digest()
        return self._at_slot({"blockhash": str(Hash(digest)), "lastValidBlockHeight": self.slot + VALIDITY})

    def _epoch(self, _: Sequence[Json]) -> Json:
        return {
            "absoluteSlot": self.slot,
            "blockHeight": self.slot,
            "epoch": 0,
            "slotIndex": self.slot,
            "slotsInEpoch": 432_000,
            "transactionCount": len(self._landed),
        }

    def _simulate(self, params: Sequence[Json]) -> Json:
        transaction = VersionedTransaction.from_bytes(base64.b64decode(params[0]))
        units = UNITS * len(transaction.message.instructions)
        return self._at_slot({"err": None, "logs": [], "accounts": None, "unitsConsumed": units})

    def _send(self, params: Sequence[Json]) -> Json:
        wire = base64.b64decode(params[0])
        transaction = VersionedTransaction.from_bytes(wire)
        signature = str(transaction.signatures[0])
        if signature not in self._landed:
            self._landed[signature] = self._execute(transaction, params[0])
        return signature

    def _execute(self, transaction: VersionedTransaction, wire: str) -> Json:
        message = transaction.message
        if not isinstance(message, MessageV0):
            raise TypeError("only v0 messages are sent here")
        writable, readonly = self._loaded(message)
        keys = [*message.account_keys, *writable, *readonly]
        numbers = {key: number for number, key in enumerate(keys)}
        groups: list[Json] = []
        for index, instruction in enumerate(message.instructions):
            accounts = [keys[each] for each in bytes(instruction.accounts)]
            if keys[instruction.program_id_index] == BUBBLEGUM:
                inner = self._mint(accounts, bytes(instruction.data))
                groups.append({"index": index, "instructions": _flat(inner, numbers, height=2)})
        loaded = {"writable": [str(each) for each in writable], "readonly": [str(each) for each in readonly]}
        meta = {
            "err": None,
            "status": {"Ok": None},
            "fee": FEE,
            "preBalances": [],
            "postBalances": [],
            "innerInstructions": groups,
            "logMessages": [],
            "preTokenBalances": [],
            "postTokenBalances": [],
            "rewards": [],
            "loadedAddresses": loaded,
        }
        return {"slot": self.slot, "blockTime": 0, "version": 0, "transaction": [wire, "base64"], "meta": meta}

    def _loaded(self, message: MessageV0) -> tuple[list[Pubkey], list[Pubkey]]:
        writable: list[Pubkey] = []
        readonly: list[Pubkey] = []
        for lookup in message.address_table_lookups:
            table = self._tables[str(lookup.account_key)]
            writable += [table[each] for each in bytes(lookup.writable_indexes)]
            readonly += [table[each] for each in bytes(lookup.readonly_indexes)]
        return writable, readonly

    def _mint(self, accounts: Sequence[Pubkey], data: bytes) -> Sequence[ExecutedInstruction]:
        """Give the mint its leaf. The accounts of MintV2: 0 is the tree's configuration, 4 the owner, 6 the tree."""
        if instruction_kind(data) is not BubblegumInstruction.MINT_V2:
            raise ValueError("only V2 mints are sent here")
        metadata = MetadataArgsV2.read(Reader(data, DISCRIMINATOR_BYTES))
        return self._trees[str(accounts[6])].mint(accounts[4], metadata)

    def _statuses(self, params: Sequence[Json]) -> Json:
        found = [self._landed.get(each) for each in params[0]]
        settled = {"confirmations": None, "err": None, "status": {"Ok": None}, "confirmationStatus": "finalized"}
        return self._at_slot([each and {**settled, "slot": each["slot"]} for each in found])

    def _transaction(self, params: Sequence[Json]) -> Json:
        return self._landed.get(params[0])

    def _accounts(self, params: Sequence[Json]) -> Json:
        return self._at_slot([self._account(each) for each in params[0]])

    def _account(self, address: str) -> Json:
        if address not in self._configs:
            return None
        tree = self._trees[self._configs[address]]
        anybody = Pubkey.default()
        config = TreeConfig(anybody, anybody, 1 << tree.depth, tree.minted, False, False, 2)
        data = base64.b64encode(config.to_bytes()).decode()
        return {
            "data": [data, "base64"],
            "executable": False,
            "lamports": 1,
            "owner": str(BUBBLEGUM),
            "rentEpoch": 0,
            "space": len(config.to_bytes()),
        }


def _flat(instructions: Sequence[ExecutedInstruction], numbers: Mapping[Pubkey, int], *, height: int) -> list[Json]:
    """Return inner instructions as JSON-RPC lists them: in order of execution, each with its stack height.

    `numbers` are the places of the message's accounts. A program that the message does not name (the simulator calls it
    all the same) is left out.
    """
    listed: list[Json] = []
    for each in instructions:
        if each.program_id in numbers:
            listed.append(
                {
                    "programIdIndex": numbers[each.program_id],
                    "accounts": [numbers[account] for account in each.accounts if account in numbers],
                    "data": base58.encode(each.data),
                    "stackHeight": height,
                }
            )
            listed += _flat(each.inner, numbers, height=height + 1)
    return listed


class Application:
    """The ASGI application: every POST is one JSON-RPC request."""

    def __init__(self, cluster: NullCluster) -> None:
        self._cluster = cluster

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        await answer(send, self._cluster.answer(await whole_body(receive)))


def main() -> None:
    """Serve until SIGTERM."""
    plan, ports_file = Path(sys.argv[1]), Path(sys.argv[2])
    application = Application(NullCluster(msgspec.json.decode(plan.read_bytes(), type=NullPlan)))
    uvloop.run(serve(application, ports_file, "rpc"))


if __name__ == "__main__":
    main()
