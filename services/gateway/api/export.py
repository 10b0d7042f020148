"""Writes clients/openapi.json: the API as a document, which the clients are generated from and reviews see change.

`python -m services.gateway.api.export` writes it, with `--check` it compares only. Nothing is started for it.
"""

import sys
from dataclasses import MISSING
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from chassis.generated import write_or_check
from chassis.version import VERSION
from services.gateway.api.app import Parts, create_app
from services.gateway.api.auth import Access

DOCUMENT: Final = Path(__file__).parents[3] / "clients" / "openapi.json"


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    # Routes are described by their signatures: what they would stand on in a process is not touched.
    absent = cast("Any", None)
    needed = [name for name, field in Parts.__dataclass_fields__.items() if field.default is MISSING]
    parts: dict[str, Any] = dict.fromkeys(needed, absent)
    parts |= {"access": Access(absent, absent), "version": VERSION}
    # A gateway that has no key for webhooks' secrets has no such routes; the document has them.
    parts |= {"webhooks": cast("Any", object())}
    return create_app(Parts(**parts)).openapi()


def main(arguments: list[str]) -> int:
    """Write or check the document; return the exit status."""
    wanted = msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"
    stale = "clients/openapi.json is not what the gateway's code says; run `make openapi`"
    return write_or_check(DOCUMENT, wanted, arguments, stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
