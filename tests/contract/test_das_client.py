"""The official client reads our DAS answers: it rebuilds the very leaf, and the very transfer, from them."""

import json
import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from bubblegum import instructions
from bubblegum.instructions import BubblegumInstruction
from bubblegum.leaf import LeafSchemaV2
from bubblegum.types import INHERIT_BASIS_POINTS, Creator
from localnet.das import DasError, DasIndex
from tests.support.das import DasChain
from tests.support.leaves import ModelTree, key, metadata_v1, metadata_v2

SCRIPT = Path(__file__).parent / "vectors" / "das_client.mjs"
NODE_MODULES = Path(__file__).parent.parent / "js" / "node_modules"
OWNER, COLLECTION, CORE_COLLECTION = key(3), key(4), key(5)
NEW_OWNER = Pubkey.from_string("11111111111111111111111111111112")

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed"),
    pytest.mark.skipif(not NODE_MODULES.is_dir(), reason="npm packages are not installed: cd tests/js && npm ci"),
]


@contextmanager
def served(index: DasIndex) -> Generator[str]:
    """The index behind JSON-RPC on a free port."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                with lock:
                    answer["result"] = index.handle(request["method"], request.get("params"))
            except DasError as error:
                answer["error"] = {"code": error.code, "message": error.message}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base class's name
            """Say nothing: pytest shows what failed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _shop() -> tuple[DasChain, list[tuple[ModelTree, int]]]:
    """A chain with V1 and V2 leaves of every kind, and where each leaf is."""
    chain = DasChain()
    first, second = chain.tree(key(2)), chain.tree(key(12), version=2)
    creators = (Creator(key(8), True, 60), Creator(key(9), False, 40))
    rich = replace(metadata_v1("Œuvre № 1", COLLECTION), creators=creators, edition_nonce=3, is_mutable=False)
    chain.run(first.mint(OWNER, rich, COLLECTION), first.mint(OWNER, metadata_v1("plain")))
    chain.run(first.mint(OWNER, metadata_v1("claims", COLLECTION)))
    chain.run(second.mint(OWNER, replace(metadata_v2("展位", CORE_COLLECTION), creators=creators), CORE_COLLECTION))
    inherits = replace(metadata_v2("inherits", CORE_COLLECTION), seller_fee_basis_points=INHERIT_BASIS_POINTS)
    chain.run(second.mint(OWNER, inherits, CORE_COLLECTION), second.mint(OWNER, metadata_v2("loose")))
    loose = second.leaves[2]
    assert isinstance(loose, LeafSchemaV2)
    chain.run(
        second.other(BubblegumInstruction.FREEZE_V2, *second.rewrite(2, replace(loose, delegate=key(9), flags=4)))
    )
    return chain, [(first, 0), (first, 1), (first, 2), (second, 0), (second, 1), (second, 2)]


def test_the_official_client_understands_every_answer() -> None:
    chain, places = _shop()
    ids = [str(tree.leaves[index].id) for tree, index in places]
    with served(chain.index) as url:
        ran = subprocess.run(["node", str(SCRIPT), url, *ids], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert [each["name"] for each in told["seen"]] == ["Œuvre № 1", "plain", "claims", "展位", "inherits", "loose"]
    assert [each["verified"] for each in told["seen"]] == [True, None, False, True, True, None]
    for (tree, index), seen in zip(places, told["seen"], strict=True):
        leaf = tree.leaves[index]
        assert seen["leaf"] == leaf.hash().hex()
        assert (seen["index"], seen["nonce"], seen["owner"]) == (index, index, str(OWNER))
        assert seen["transfer"] == _our_transfer(tree, index)
    assert told["lists"]["owner"] == told["lists"]["search"] == sorted(ids)
    assert told["lists"]["group"] == [ids[0]]


def _our_transfer(tree: ModelTree, index: int) -> dict[str, Any]:
    leaf, proof = tree.leaves[index], tree.proof(index)
    if not isinstance(leaf, LeafSchemaV2):
        built = instructions.transfer(tree=tree.address, leaf_owner=OWNER, new_leaf_owner=NEW_OWNER, leaf=proof)
    else:
        built = instructions.transfer_v2(
            tree=tree.address,
            payer=OWNER,
            authority=OWNER,
            leaf_owner=OWNER,
            leaf_delegate=leaf.delegate,
            new_leaf_owner=NEW_OWNER,
            leaf=replace(proof, flags=leaf.flags),
        )
    accounts = [[str(each.pubkey), each.is_signer, each.is_writable] for each in built.accounts]
    return {"data": bytes(built.data).hex(), "accounts": accounts}
