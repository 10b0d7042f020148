"""Mint one NFT, wait for it, list the operations, and read an error: `example.py <api> <key> <collection> <wallet>`."""

import sys
import time
from uuid import UUID

from httpx import Timeout
from mintstream_client import AuthenticatedClient
from mintstream_client.api.mint import list_operations, mint_single, mint_status
from mintstream_client.models import (
    Failure,
    MetadataBody,
    MintSingleBody,
    SuccessMintSingleView,
    SuccessOperationListView,
    SuccessStatusView,
)

IMAGE = "ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
NOBODY = UUID(int=0)


def main(api: str, key: str, collection: str, wallet: str) -> None:
    """Do it, and print what came of it."""
    client = AuthenticatedClient(base_url=api, token=key, prefix="", auth_header_name="X-API-Key", timeout=Timeout(90))
    body = MintSingleBody(
        collection_id=UUID(collection), recipient=wallet, metadata=MetadataBody(name="From Python", image=IMAGE)
    )
    minted = mint_single.sync(client=client, body=body, prefer="wait=60", idempotency_key=f"example-{wallet}")
    if not isinstance(minted, SuccessMintSingleView):
        sys.exit(f"refused: {minted}")
    while True:  # the answer has waited for the mint already; what lists and statuses tell may be a moment behind
        status = mint_status.sync(minted.data.transaction_id, client=client)
        assert isinstance(status, SuccessStatusView)
        if status.data.end_time:
            break
        time.sleep(0.2)
    print(status.data.status.value, minted.data.asset_ids)

    listed = list_operations.sync(client=client, recipient=wallet)
    assert isinstance(listed, SuccessOperationListView)
    print(*(operation.transaction_id == minted.data.transaction_id for operation in listed.data.operations))

    failure = mint_status.sync(str(NOBODY), client=client)
    assert isinstance(failure, Failure)
    print(failure.code)


if __name__ == "__main__":
    main(*sys.argv[1:])
