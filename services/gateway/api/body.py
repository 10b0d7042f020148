"""The body of a request, JSON or form, as one mapping of fields and a list of files.

Used by the routers that take a body, after the API key was checked. Sizes are enforced twice: by the length that the
caller declares, before anything is read, and by the bytes that come. Not done here: what the fields mean.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import cast
from urllib.parse import parse_qsl

import msgspec
from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from chassis.images import MAX_IMAGE_BYTES
from services.gateway.api.fields import field
from services.gateway.api.form import MAX_TEXT_BYTES, MAX_TEXT_FIELDS, FormReader, ReceivedFile, ReceivedForm
from services.gateway.domain import MAX_FILES
from services.gateway.errors import BodyTooLarge, MalformedBody, Problem, UnsupportedMediaType, ValidationFailed

_JSON = b"application/json"
MAX_JSON_BYTES = 2 * 1024 * 1024
MAX_FORM_BYTES = MAX_FILES * MAX_IMAGE_BYTES + MAX_TEXT_BYTES + 64 * 1024
"""All files and texts at their limits, and the lines between them."""


class ReceivedBody:
    """What a caller sent: fields by name as plain values, files in order."""

    def __init__(self, fields: Mapping[str, object], files: tuple[ReceivedFile, ...] = ()) -> None:
        self.fields = fields
        self.files = files


def received(
    request: Request, *, file_field: str, json_fields: Collection[str], json_limit: int = MAX_JSON_BYTES
) -> AbstractAsyncContextManager[ReceivedBody]:
    """Read the body; its files are gone when the context ends.

    JSON may have `json_limit` bytes. In a form, the fields in `json_fields` are JSON texts and all files are under
    `file_field`. Entering raises MalformedBody, BodyTooLarge, UnsupportedMediaType and ValidationFailed.
    """
    return _Receiving(request, file_field, json_fields, json_limit)


class _Receiving:
    """The context of a body. A class, because every request has one and a generator costs it several times as much."""

    def __init__(self, request: Request, file_field: str, json_fields: Collection[str], json_limit: int) -> None:
        self._request = request
        self._file_field = file_field
        self._json_fields = json_fields
        self._json_limit = json_limit
        self._form: ReceivedForm | None = None

    async def __aenter__(self) -> ReceivedBody:
        request = self._request
        content_type = field(request.scope, b"content-type") or ""
        kind, options = (_JSON, {}) if content_type == "application/json" else parse_options_header(content_type)
        encoding = field(request.scope, b"content-encoding")
        if encoding is not None and encoding.lower() != "identity":
            raise UnsupportedMediaType(f"a body with Content-Encoding {encoding!r}")
        if kind == _JSON:
            return ReceivedBody(_json_object(await _whole(request, self._json_limit)))
        if kind == b"application/x-www-form-urlencoded":
            texts = _urlencoded(await _whole(request, MAX_TEXT_BYTES))
            return ReceivedBody(_decode_fields(texts, self._json_fields))
        if kind == b"multipart/form-data":
            return await self._multipart(options.get(b"boundary", b""))
        raise UnsupportedMediaType(content_type[:100])

    async def __aexit__(self, *_: object) -> None:
        if self._form is not None:
            self._form.close()

    async def _multipart(self, boundary: bytes) -> ReceivedBody:
        if not boundary:
            cure = "names no boundary: let the HTTP library write this header"
            raise MalformedBody("The body is not a multipart form", [Problem("Content-Type", cure)])
        try:
            client = self._request.client
            reader = FormReader(boundary, client.host if client else "")
        except ValueError:  # stop: python_multipart's FormParserError for a boundary that is too long is a ValueError
            raise MalformedBody("The body is not a multipart form") from None
        try:
            await reader.read(_chunks(self._request, MAX_FORM_BYTES))
            _check_files(reader.form, self._file_field)
            fields = _decode_fields(reader.form.texts, self._json_fields)
        except BaseException:  # stop: whoever does not enter does not leave either
            reader.form.close()
            raise
        self._form = reader.form
        return ReceivedBody(fields, tuple(reader.form.files))


async def _whole(request: Request, limit: int) -> bytes:
    body = _Bounded(request, limit)
    chunks: list[bytes] = []
    while body.more:
        chunks.append(await body.chunk())
    return b"".join(chunks)


async def _chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    body = _Bounded(request, limit)
    while body.more:
        yield await body.chunk()


class _Bounded:
    """A body, chunk by chunk. Raises BodyTooLarge as soon as more than `limit` bytes are declared or have come."""

    def __init__(self, request: Request, limit: int) -> None:
        declared = field(request.scope, b"content-length") or "0"
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise _too_large(limit)
        self._receive = request.receive
        self._left = limit
        self._limit = limit
        self.more = True

    async def chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        self.more = message.get("more_body", False)
        self._left -= len(chunk)
        if self._left < 0:
            raise _too_large(self._limit)
        return chunk


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge("Request body too large", [Problem("", f"the body is over {limit} bytes")])


def _json_object(body: bytes) -> Mapping[str, object]:
    value = _json(body, "")
    if not isinstance(value, dict):
        raise MalformedBody("The body must be a JSON object", [Problem("", "must be a JSON object")])
    return cast("dict[str, object]", value)


def _json(text: bytes | str, field: str) -> object:
    """Return the value of a JSON text. Raises MalformedBody, naming `field`."""
    if not text:
        raise MalformedBody("Malformed JSON", [Problem(field, "is empty")])
    try:
        return cast("object", msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # stop: outside input
        raise MalformedBody("Malformed JSON", [Problem(field, f"is not JSON: {error}")]) from None
    except RecursionError:  # stop: outside input, nested deeper than any request is
        raise MalformedBody("Malformed JSON", [Problem(field, "is nested too deeply")]) from None


def _urlencoded(body: bytes) -> dict[str, str]:
    if body.lstrip()[:1] in (b"{", b"["):  # curl calls every body a form that it is given without a Content-Type
        raise MalformedBody("The body is not a form", [Problem("Content-Type", "send JSON as application/json")])
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_TEXT_FIELDS,
        )
    except ValueError:  # stop: outside input; also UnicodeDecodeError and too many fields
        raise MalformedBody("The body is not a form") from None
    texts = dict(pairs)
    if len(texts) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValidationFailed([Problem(name, "is given twice") for name in texts if names.count(name) > 1])
    return texts


def _decode_fields(texts: Mapping[str, str], json_fields: Collection[str]) -> dict[str, object]:
    return {name: _json(text, name) if name in json_fields else text for name, text in texts.items()}


def _check_files(form: ReceivedForm, file_field: str) -> None:
    sentence = f"unknown field: files go under {file_field}" if file_field else "unknown field: no file is taken here"
    strangers = [Problem(file.field, sentence) for file in form.files if file.field != file_field]
    if strangers:
        raise ValidationFailed(strangers)
