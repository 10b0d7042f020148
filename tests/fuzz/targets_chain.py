"""What comes from the chain through somebody's node: transactions, accounts, events, and the nodes' own answers."""

import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

import httpx
import httpx2
from solana.rpc.async_api import AsyncClient
from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.keypair import Keypair
from solders.message import Message, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from bubblegum import base58, instructions
from bubblegum.borsh import Writer
from bubblegum.collection_accounts import CoreCollection, MetadataAccount
from bubblegum.decode import decode
from bubblegum.errors import DecodeError
from bubblegum.leaf import decode_noop
from bubblegum.lookup_tables import created_table, table_contents
from bubblegum.merkle import ConcurrentMerkleTree
from bubblegum.merkle.config import TreeConfig
from bubblegum.state import Place, fold, leaf_states
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction, from_rpc
from chassis.clock import SystemClock
from chassis.json_rpc import JsonRpc
from services.indexer.adapters.das import DasProviders
from services.indexer.adapters.solana_rpc import SolanaRpc as IndexerRpc
from services.indexer.adapters.tree_history import RpcHistory
from services.indexer.chain.proofs import holds
from services.indexer.ports import ChainUnavailable as IndexerUnavailable
from services.minter.adapters.das import Das
from services.minter.adapters.solana_rpc import SolanaRpc
from services.minter.ports import ChainUnavailable
from tests.fuzz.target import Target
from tests.support.leaves import PAYER, ModelTree, key, metadata_v1, metadata_v2

TREE, OWNER, COLLECTION = key(2), key(3), key(4)
SIGNATURE: Final = Signature(b"\x07" * 64)
WALLET: Final = Keypair.from_seed(bytes(32))
URL: Final = "http://node.test/?api-key=very-secret"


# Transactions ---------------------------------------------------------------------------------------------------


def _told(ran: Sequence[ExecutedInstruction]) -> dict[str, Any]:
    """A transaction of these instructions as `getTransaction` tells it with encoding json."""
    keys: list[Pubkey] = [PAYER]

    def index(address: Pubkey) -> int:
        if address not in keys:
            keys.append(address)
        return keys.index(address)

    def flat(each: ExecutedInstruction, height: int) -> list[dict[str, Any]]:
        compiled = {
            "programIdIndex": index(each.program_id),
            "accounts": [index(account) for account in each.accounts],
            "data": base58.encode(each.data),
            "stackHeight": height,
        }
        return [compiled, *(below for child in each.inner for below in flat(child, height + 1))]

    flattened = [flat(each, 1) for each in ran]
    inner = [{"index": number, "instructions": each[1:]} for number, each in enumerate(flattened)]
    message = {"accountKeys": [str(each) for each in keys], "instructions": [each[0] for each in flattened]}
    return {
        "slot": 77,
        "blockTime": 1_700_000_000,
        "transaction": {"signatures": [str(SIGNATURE)], "message": message},
        "meta": {"err": None, "fee": 5000, "innerInstructions": inner, "loadedAddresses": None},
        "version": 0,
    }


def _stories() -> list[list[ExecutedInstruction]]:
    v1, v2 = ModelTree(TREE, 1), ModelTree(key(5), 2)
    return [
        [v1.create(), v1.mint(OWNER, metadata_v1(), COLLECTION), v1.mint(OWNER, metadata_v1()), v1.transfer(0, PAYER)],
        [v2.create(), v2.mint(OWNER, metadata_v2(collection=COLLECTION), COLLECTION), v2.transfer(0, PAYER)],
        [v1.burn(0), v1.redeem(1), v2.burn(0), v1.other(instructions.BubblegumInstruction.VERIFY_COLLECTION)],
    ]


STORIES: Final = tuple(_told(story) for story in _stories())


def _wire() -> str:
    compiled = [CompiledInstruction(1, b"\x01top", bytes([0, 1]))]
    message = MessageV0(MessageHeader(1, 0, 1), [PAYER, OWNER], Hash.default(), compiled, [])
    return base64.b64encode(bytes(VersionedTransaction.populate(message, [SIGNATURE]))).decode()


WIRED: Final = STORIES[0] | {"transaction": [_wire(), "base64"], "meta": STORIES[0]["meta"] | {"innerInstructions": []}}


def _understand(transaction: ExecutedTransaction) -> None:
    """`decode` never raises on what is on chain, and whatever it finds can be folded into leaves."""
    place = Place(transaction.slot, transaction.signature)
    fold(state for change in decode(transaction) for state in leaf_states(change, place))
    with suppress(DecodeError):  # the usual answer: it made none
        created_table(transaction)


def transaction(data: bytes) -> None:
    """A `getTransaction` result, all the way to what it did to leaves."""
    try:
        result = json.loads(data)
    except (ValueError, RecursionError):
        raise DecodeError("no JSON: another parser's matter") from None
    _understand(from_rpc(result))


def instruction(data: bytes) -> None:
    """The data of one instruction of Bubblegum, with the accounts and events of a mint around it."""
    for story in _MINTS:
        ran = ExecutedInstruction(story.program_id, story.accounts, data, story.inner)
        _understand(ExecutedTransaction(str(SIGNATURE), 1, None, (ran,)))


_MINTS: Final = tuple(each for story in _stories() for each in story)

# Accounts and events --------------------------------------------------------------------------------------------


def _tree_account() -> bytes:
    out = Writer().u8(1).u8(0).u32(8).u32(3).pubkey(PAYER).u64(9).boolean(False).raw(bytes(5))
    out.u64(1).u64(0).u64(1)
    return out.done() + bytes(8 * (32 + 3 * 32 + 8) + 3 * 32 + 32 + 8)


def _core_collection() -> bytes:
    start = Writer().u8(5).pubkey(PAYER).string("Booths").string("ipfs://x").u32(1).u32(1).done()
    plugin_at = len(start) + 9
    royalties = Writer().u8(0).u16(500).done()
    registry = Writer().u8(4).u32(2).u8(0).u8(2).u64(plugin_at).u8(15).u8(3).pubkey(OWNER).u64(plugin_at).u32(0)
    return start + Writer().u8(3).u64(plugin_at + len(royalties)).done() + royalties + registry.done()


def _metadata_account() -> bytes:
    out = Writer().u8(4).pubkey(PAYER).pubkey(OWNER).string("Booths\0\0").string("BTH").string("ipfs://x").u16(500)
    out.boolean(True).u32(1).pubkey(PAYER).boolean(True).u8(100).boolean(False).boolean(True).u8(1).u8(255)
    return out.u8(0).u8(0).u8(0).u8(1).u8(0).u64(3).done()


def _lookup_table() -> bytes:
    return (
        Writer().u32(1).u64(2**64 - 1).u64(5).u8(0).u8(1).pubkey(PAYER).u16(0).pubkey(OWNER).pubkey(COLLECTION).done()
    )


CONFIG: Final = TreeConfig(PAYER, OWNER, 8, 3, False, False, 2).to_bytes()
ACCOUNTS: Final = (_tree_account(), CONFIG, _core_collection(), _metadata_account(), _lookup_table())
NOOPS: Final = tuple(
    child.data
    for story in _stories()
    for top in story
    for child in (*top.inner, *(c for i in top.inner for c in i.inner))
)


def account(data: bytes) -> None:
    """An account's data, read as each kind of account that is read anywhere."""
    taken = 0
    for parse in (
        ConcurrentMerkleTree.parse,
        TreeConfig.parse,
        CoreCollection.parse,
        MetadataAccount.parse,
        table_contents,
    ):
        try:
            found = parse(data)
        except DecodeError:
            continue
        taken += 1
        if isinstance(found, ConcurrentMerkleTree):
            assert found.root in found.recent_roots() or not found.buffer_size
            assert 0 <= found.canopy_depth <= found.max_depth
    if not taken:
        raise DecodeError("an account of no kind")


def event(data: bytes) -> None:
    """What a noop instruction was called with."""
    decode_noop(data)


# Nodes ----------------------------------------------------------------------------------------------------------


_FIRST: Final = b'"id": 1'


def _status_and_body(data: bytes) -> tuple[int, dict[str, str], bytes]:
    """An answer whose first line is `<status> <content encoding>`; 200 and none where that says something else."""
    head, _, body = data.partition(b"\n")
    status, _, encoding = head.decode("latin-1").partition(" ")
    headers = {"content-encoding": encoding} if encoding in ("gzip", "deflate", "br", "zstd") else {}
    return (int(status) if status in ("200", "204", "301", "429", "500") else 200), headers, body


def http_client(data: bytes) -> httpx.AsyncClient:
    """A client whose every request is answered with `data`, which only who reads it decompresses.

    What `_answer` has made answers each request as if it were the first: by its id.
    """
    status, headers, body = _status_and_body(data)

    def answer(request: httpx.Request) -> httpx.Response:
        told = body
        if b'"jsonrpc"' in request.content:
            told = body.replace(_FIRST, b'"id": %d' % json.loads(request.content)["id"])
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(told))

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def indexer_node(data: bytes) -> None:
    """One answer, given to everything that the indexer asks a node or a DAS provider; nothing but "unavailable"."""
    async with http_client(data) as http:
        node = JsonRpc(http, URL, "rpc")
        rpc, history = IndexerRpc(node, node), RpcHistory(node)
        providers = DasProviders([JsonRpc(http, URL, "das")], SystemClock(), rate=1e9)
        taken = 0
        for ask in (
            lambda: rpc.accounts([str(PAYER)]),
            lambda: rpc.answers_das(str(COLLECTION)),
            lambda: history.signatures(str(TREE), None, None, 1000, 0),
            lambda: providers.shown(str(COLLECTION), frozenset({str(TREE)}), 100),
        ):
            taken += await _asked(ask)
        try:
            _understand(await history.transaction(str(SIGNATURE)))
            taken += 1
        except (IndexerUnavailable, DecodeError):
            pass
        try:
            holds(await providers.proof(str(PAYER)), ConcurrentMerkleTree.parse(ACCOUNTS[0]), b"l" * 32)
            taken += 1
        except IndexerUnavailable:
            pass
    if not taken:
        raise IndexerUnavailable("nothing understood")


async def _asked(ask: Any) -> bool:
    try:
        await ask()
    except (IndexerUnavailable, ChainUnavailable) as error:
        told = str(error)
    else:
        return True
    assert "very-secret" not in told
    return False


@cache
def _client() -> AsyncClient:
    """One for all inputs: each makes a TLS context, which takes longer than all that is tried here."""
    return AsyncClient(URL, max_transport_retries=0, http2=False)


async def minter_node(data: bytes) -> None:
    """One answer, given to everything that the minter asks a node."""
    status, headers, body = _status_and_body(data)

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(body))

    session = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    client = _client()
    client._provider.session = session  # pyright: ignore[reportPrivateUsage]  (solana-py takes no transport)
    light = http_client(data)
    rpc = SolanaRpc(client, JsonRpc(light, URL, None))
    message = Message([], WALLET.pubkey())
    unsigned = VersionedTransaction.populate(message, [Signature.default()])
    taken = 0
    for ask in (
        rpc.genesis_hash,
        rpc.slot,
        rpc.recent_blockhash,
        lambda: rpc.simulate(unsigned),
        lambda: rpc.send(bytes(unsigned)),
        rpc.finalized_head,
        rpc.history_from,
        lambda: rpc.statuses([str(SIGNATURE)], search_history=True),
        lambda: rpc.transaction(str(SIGNATURE)),
        lambda: rpc.minimum_rent(100),
        lambda: rpc.accounts([str(PAYER)]),
        lambda: rpc.recent_fees([str(PAYER)]),
        lambda: rpc.balance(PAYER),
    ):
        taken += await _asked(ask)
    await session.aclose()
    await light.aclose()
    async with http_client(data) as http:
        das = Das(http, URL)
        taken += await _asked(lambda: das.described(str(COLLECTION)))
        taken += await _asked(lambda: das.trees_of(str(COLLECTION), 4))
    if not taken:
        raise ChainUnavailable("nothing understood")


_CONTEXT: Final = {"slot": 9, "apiVersion": "3.0.0"}
_ACCOUNT: Final = {
    "owner": str(OWNER),
    "data": [base64.b64encode(ACCOUNTS[1]).decode(), "base64"],
    "lamports": 1,
    "executable": False,
    "rentEpoch": 0,
    "space": 96,
}
RESULTS: Final[tuple[object, ...]] = (
    {"context": _CONTEXT, "value": [_ACCOUNT]},
    {"context": _CONTEXT, "value": 5_000_000},
    {"context": _CONTEXT, "value": {"blockhash": str(Hash.default()), "lastValidBlockHeight": 150}},
    {
        "context": _CONTEXT,
        "value": [
            {"slot": 5, "confirmations": None, "err": None, "status": {"Ok": None}, "confirmationStatus": "finalized"}
        ],
    },
    {
        "context": _CONTEXT,
        "value": {
            "err": {"InstructionError": [0, {"Custom": 6001}]},
            "logs": [],
            "accounts": None,
            "unitsConsumed": 5,
            "returnData": None,
        },
    },
    {
        "absoluteSlot": 9,
        "blockHeight": 8,
        "epoch": 0,
        "slotIndex": 9,
        "slotsInEpoch": 432_000,
        "transactionCount": 5,
    },
    {
        "blockHeight": 8,
        "blockTime": 1,
        "blockhash": str(Hash.default()),
        "parentSlot": 7,
        "previousBlockhash": "1" * 32,
    },
    [{"signature": str(SIGNATURE), "slot": 5, "err": None, "memo": None, "blockTime": 1}],
    [{"slot": 5, "prioritizationFee": 100}],
    str(Hash.default()),
    42,
    *STORIES[:2],
    WIRED,
    {"items": [{"id": str(PAYER), "compression": {"compressed": True, "tree": str(TREE)}}], "last_indexed_slot": 9},
    {
        "root": base58.encode(bytes(32)),
        "proof": [base58.encode(bytes(32))] * 3,
        "node_index": 9,
        "leaf": base58.encode(b"l" * 32),
        "tree_id": str(TREE),
    },
    {
        "content": {
            "metadata": {"symbol": "BTH", "description": "d"},
            "links": {"image": "ipfs://x", "external_url": "https://example.com"},
        }
    },
)


def _answer(body: dict[str, Any]) -> bytes:
    return b"200 \n" + json.dumps({"jsonrpc": "2.0", "id": 1} | body).encode()


ANSWERS: Final = (
    *(_answer({"result": result}) for result in RESULTS),
    _answer({"error": {"code": -32005, "message": "behind", "data": {"numSlotsBehind": 42}}}),
    _answer({"error": {"code": -32002, "message": "failed", "data": {"err": "BlockhashNotFound", "logs": []}}}),
    b"429 \nslow down",
    b"200 gzip\n\x1f\x8b\x08\x00",
)

TARGETS: Final = (
    Target("transaction", transaction, (DecodeError,), tuple(json.dumps(each).encode() for each in (*STORIES, WIRED))),
    Target("instruction", instruction, (), tuple(each.data for each in _MINTS)),
    Target("account", account, (DecodeError,), ACCOUNTS),
    Target("noop-event", event, (DecodeError,), NOOPS),
    Target("indexer-node", indexer_node, (IndexerUnavailable,), ANSWERS),
    Target("minter-node", minter_node, (ChainUnavailable,), ANSWERS),
)
