"""The build command: the committed programs are what the sources give, and the real ones can be fetched and pinned."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from programs import build, fetch, manifest
from programs.fetch import LOADER_V4, UPGRADEABLE_LOADER, executable_hash
from programs.manifest import Program, load_manifest

ELF = b"\x7fELF" + bytes(range(200)) + bytes(40)


# ---- the committed programs -----------------------------------------------------------------------------------------

BUILT = [program.name for program in load_manifest().values() if list((manifest.PROGRAMS / program.source).glob("*.c"))]


@pytest.mark.parametrize("name", BUILT)
def test_the_committed_program_is_what_its_sources_give(name: str) -> None:
    assert build.differences([name], load_manifest()) == []


def test_check_tells_of_a_changed_byte_and_of_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = load_manifest()["spl_noop"].built.read_bytes()
    monkeypatch.setattr(manifest, "BIN", tmp_path)
    assert build.main(["--check", "spl_noop"]) == 1
    assert "programs/bin/spl_noop.so is missing." in capsys.readouterr().err
    (tmp_path / "spl_noop.so").write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    assert build.main(["--check", "spl_noop"]) == 1
    assert "programs/bin/spl_noop.so differs from what its sources give." in capsys.readouterr().err
    (tmp_path / "spl_noop.so").write_bytes(original)
    assert build.main(["--check", "spl_noop"]) == 0


def test_an_unknown_program_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["nonsense"]) == 1
    assert "No program is called nonsense; there are bubblegum" in capsys.readouterr().err


def test_addresses_reach_the_c_sources() -> None:
    programs = load_manifest()
    header = build.address_header(programs)
    first, *_ = bytes(programs["spl_noop"].address)
    assert f"SPL_NOOP_ID[KEY_BYTES] = {{{first}, " in header


# ---- the real programs, from a node ---------------------------------------------------------------------------------


@dataclass
class Node:
    """A tiny JSON-RPC node: addresses to (owner, data), or a fixed reply."""

    url: str
    accounts: dict[str, tuple[str, bytes]] = field(default_factory=dict[str, tuple[str, bytes]])
    fixed: bytes | None = None
    status: int = 200

    def deploy(self, program: Program, bytecode: bytes) -> None:
        """As the upgradeable loader lays a program out."""
        data_address = Pubkey.new_unique()
        self.accounts[str(program.address)] = (UPGRADEABLE_LOADER, struct.pack("<I", 2) + bytes(data_address))
        header = struct.pack("<IQB", 3, 123, 1) + bytes(32)
        assert len(header) == 45
        self.accounts[str(data_address)] = (UPGRADEABLE_LOADER, header + bytecode)

    def answer(self, request: dict[str, Any]) -> bytes:
        if self.fixed is not None:
            return self.fixed
        assert request["method"] == "getAccountInfo"
        address, options = request["params"]
        assert options["encoding"] == "base64"
        held = self.accounts.get(address)
        value = None
        if held is not None:
            data = base64.b64encode(held[1]).decode()
            value = {"owner": held[0], "data": [data, "base64"], "lamports": 1, "executable": True, "rentEpoch": 0}
        result = {"context": {"slot": 1}, "value": value}
        return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()


@pytest.fixture
def node() -> Iterator[Node]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            reply = running.answer(json.loads(body))
            self.send_response(running.status)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Node(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield running
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `deployed` folder of the test's own."""
    folder = tmp_path / "deployed"
    monkeypatch.setattr(manifest, "DEPLOYED", folder)
    monkeypatch.setattr(fetch, "DEPLOYED", folder)
    return folder


def test_deployed_bytecode_is_fetched(node: Node, deployed: Path) -> None:
    programs = load_manifest()
    node.deploy(programs["bubblegum"], ELF)
    node.accounts[str(programs["spl_noop"].address)] = ("BPFLoader2111111111111111111111111111111111", ELF + b"2")
    node.accounts[str(programs["mpl_noop"].address)] = (LOADER_V4, bytes(48) + ELF + b"4")
    assert build.main(["--from-rpc", node.url, "bubblegum", "spl_noop", "mpl_noop"]) == 0
    assert (deployed / "bubblegum.so").read_bytes() == ELF
    assert (deployed / "spl_noop.so").read_bytes() == ELF + b"2"
    assert (deployed / "mpl_noop.so").read_bytes() == ELF + b"4"


def test_a_pin_is_the_hash_without_trailing_zeros_and_guards_every_file(
    node: Node, deployed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = load_manifest()
    node.deploy(programs["bubblegum"], ELF)
    node.deploy(programs["mpl_core"], ELF)
    pin = hashlib.sha256(ELF.rstrip(b"\0")).hexdigest()
    assert executable_hash(ELF) == pin
    wrong = "0" * 64
    arguments = ["--from-rpc", node.url, "bubblegum", "mpl_core", "--pin", f"bubblegum={pin}"]
    assert build.main([*arguments, "--pin", f"mpl_core={wrong}"]) == 1
    assert f"mpl_core has sha256 {pin}, but {wrong} is pinned. Nothing was written." in capsys.readouterr().err
    assert not deployed.exists()
    assert build.main([*arguments, "--pin", f"mpl_core={pin.upper()}"]) == 0


@pytest.mark.parametrize("pin", ["bubblegum", "bubblegum=12", "=" + "0" * 64, "bubblegum=" + "g" * 64])
def test_a_malformed_pin_is_refused(node: Node, pin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--from-rpc", node.url, "bubblegum", "--pin", pin]) == 1
    assert "is not NAME=SHA256" in capsys.readouterr().err


def test_a_pin_for_a_program_that_is_not_fetched_is_refused(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--from-rpc", node.url, "bubblegum", "--pin", "mpl_core=" + "0" * 64]) == 1
    assert "--pin names mpl_core, which is not being fetched." in capsys.readouterr().err
    assert build.main(["--pin", "mpl_core=" + "0" * 64]) == 1


WALLET = "11111111111111111111111111111111"


@pytest.mark.parametrize(
    ("account", "message"),
    [
        (None, "does not exist on that cluster"),
        ((WALLET, b""), "which is not a loader"),
        ((UPGRADEABLE_LOADER, struct.pack("<I", 1) + bytes(32)), "is not a program account"),
        ((UPGRADEABLE_LOADER, struct.pack("<I", 2) + bytes(32)), "was closed"),
        (("BPFLoader2111111111111111111111111111111111", b"text"), "is not an ELF file"),
    ],
)
def test_what_is_not_a_deployed_program_is_told(
    node: Node, account: tuple[str, bytes] | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if account is not None:
        node.accounts[str(load_manifest()["bubblegum"].address)] = account
    assert build.main(["--from-rpc", node.url, "bubblegum"]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fixed", "status", "message"),
    [
        (b'{"error":{"code":-32005,"message":"behind"}}', 200, "The node refused getAccountInfo"),
        (b"{}", 503, "The node did not answer getAccountInfo"),
        (b"<html>", 200, "is not one"),
        (b'{"result":{"value":{"owner":"x","data":["?","base64"]}}}', 200, "is not one"),
        (b"[]", 200, "is not one"),
    ],
)
def test_a_failing_node_is_told_without_its_url(
    node: Node, fixed: bytes, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node.fixed, node.status = fixed, status
    assert build.main(["--from-rpc", f"{node.url}/?api-key=secret", "bubblegum"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "secret" not in error
