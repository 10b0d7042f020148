# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""What an accepted mint costs at the least: an ASGI application that publishes the body to JetStream and waits for it.

    python -m tests.bench.bare_app NATS_URL PORTS_FILE

Run by `bench_gateway` beside the gateway, on the same nats-server, with uvicorn, uvloop and httptools as the gateway
has them. It reads no key, checks nothing, looks nothing up: one publish, one acknowledgement, one answer.
"""

import sys
from pathlib import Path
from uuid import uuid4

import nats
import uvloop
from nats.js import JetStreamContext, api
from starlette.types import Receive, Scope, Send

from tests.bench.serving import answer, serve, whole_body

STREAM = "BARE"


class BareApplication:
    """Publishes every body on a subject of its own."""

    def __init__(self, jetstream: JetStreamContext) -> None:
        self._jetstream = jetstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        identity = uuid4()
        await self._jetstream.publish(f"bare.{identity}", await whole_body(receive))
        await answer(send, b'{"id":"%s"}' % str(identity).encode())


async def run(nats_url: str, ports_file: Path) -> None:
    """Serve until SIGTERM."""
    client = await nats.connect(nats_url)
    jetstream = client.jetstream(timeout=60)
    await jetstream.add_stream(api.StreamConfig(name=STREAM, subjects=["bare.*"], storage=api.StorageType.FILE))
    await serve(BareApplication(jetstream), ports_file, "api")
    await client.close()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], Path(sys.argv[2])))
