"""An S3-compatible server in this process: moto's, which keeps buckets in memory and speaks HTTP on a free port."""

from collections.abc import Generator
from contextlib import contextmanager

import httpx
from moto.server import ThreadedMotoServer

BUCKET = "archive"


@contextmanager
def s3_server() -> Generator[dict[str, str]]:
    """Yield the variables by which clients find the server, which has the empty bucket BUCKET."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        httpx.put(f"{endpoint}/{BUCKET}").raise_for_status()
        yield {
            "AWS_ENDPOINT": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
    finally:
        server.stop()
