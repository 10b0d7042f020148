"""Our cluster and Surfpool side by side, with the same programs, for all tests of a module."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.integration.cluster.rpc_client import BareClient
from tests.support.cluster import PROGRAMS, timed_cluster
from tests.support.surfpool import surfpool
from tests.support.two_clusters import Cluster, Pair


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pair]:
    """Both clusters, running."""
    async with (
        timed_cluster(slot_ms=50, programs=PROGRAMS) as ours,
        surfpool(tmp_path_factory.mktemp("surfpool")) as theirs,
        BareClient(ours.addresses.rpc) as first,
        BareClient(theirs.rpc) as second,
    ):
        yield Pair(Cluster("ours", first), Cluster("surfpool", second))
