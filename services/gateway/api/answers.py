"""Answers of JSON, made of bytes: without the looks that Starlette takes at any other answer's content and headers.

Used wherever an answer is made under load: mints (`mint.py`) and refusals (`failures.py`).
"""

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import Response


class JsonAnswer(Response):
    """The answer that a view is; fields that do not apply are left out."""

    media_type = "application/json"

    def __init__(self, view: BaseModel, headers: Mapping[str, str], status: int = 200) -> None:
        self.status_code = status
        self.background = None
        self.body = view.model_dump_json(by_alias=True, exclude_none=True).encode()
        self.raw_headers = [
            (b"content-length", str(len(self.body)).encode()),
            (b"content-type", b"application/json"),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()),
        ]
