"""The official JavaScript client (umi and web3.js), unchanged, against a running cluster."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
from solders.pubkey import Pubkey

from bubblegum import pda
from localnet.cluster.model import Commitment
from tests.support.cluster import PROGRAMS, ROOT, timed_cluster

SCRIPT = ROOT / "tests" / "js" / "umi_mint.mjs"


@pytest.mark.node
async def test_umi_mints_with_both_versions_and_reads_its_assets_back() -> None:
    node = shutil.which("node")
    assert node is not None, "this test needs Node.js; deselect it with -m 'not node'"
    async with timed_cluster(slot_ms=50, programs=PROGRAMS) as cluster:
        child = await asyncio.create_subprocess_exec(
            node,
            str(SCRIPT),
            cluster.addresses.rpc,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await child.communicate()
        assert child.returncode == 0, err.decode()
        for minted in json.loads(out).values():
            assert minted["error"] is None
            assert minted["id"] == str(pda.asset_id(Pubkey.from_string(minted["tree"]), 0))
            assert minted["dasOwner"] == minted["owner"]
            assert (minted["dasName"], minted["index"], minted["proofLength"]) == ("Bücherstand #1", 0, 5)
            landed = await cluster.node.transaction(minted["signature"])
            assert landed is not None
            assert landed.err is None
            assert cluster.node.ledger.chain.commitment_of(landed.slot) is not Commitment.PROCESSED
