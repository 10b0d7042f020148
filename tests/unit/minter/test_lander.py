"""Landing one transaction while another worker lands it too."""

import asyncio
from dataclasses import replace

from solders.transaction import VersionedTransaction

from services.minter.ports import Simulation
from tests.support.toy_chain import ToyChain, ToyWorld


class AlreadyThere(ToyChain):
    """A simulation that comes late is refused by what the transaction itself has made meanwhile."""

    async def simulate(self, transaction: VersionedTransaction) -> Simulation:
        simulation = await super().simulate(transaction)
        return replace(simulation, error={"InstructionError": [0, {"Custom": 0}]}) if self.sent else simulation


async def test_a_refusal_by_what_another_worker_has_made_is_none() -> None:
    world = ToyWorld(chain=AlreadyThere())
    world.chain.stalls_at = 2
    assert await asyncio.gather(world.life(), world.life()) == [True, True]
    world.judge()
    assert len(world.outcomes) == 2
