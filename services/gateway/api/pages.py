"""`/docs`: the OpenAPI document as one page of HTML, without scripts and without anything from elsewhere.

Installed by `api/app.py`. Not done here: trying requests out; the page shows examples of what to send, and of answers.
"""

import base64
import hashlib
import re
from html import escape
from itertools import groupby
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

Json = dict[str, Any]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { white-space: pre-wrap; padding: .75rem; border: 1px solid #8886; border-radius: .4rem; }
summary { cursor: pointer; padding: .4rem 0; }
table { border-collapse: collapse; table-layout: fixed; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8883; }
td:first-child { width: 9rem; }
h2, h3 { text-transform: capitalize; }
.method { display: inline-block; min-width: 4.75rem; font-weight: 600; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"


def install(app: FastAPI) -> None:
    """Serve the page at `/docs`; FastAPI itself serves the document at `/openapi.json`."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        return HTMLResponse(render(app.openapi()), headers={"Content-Security-Policy": _POLICY})


def render(document: Json) -> str:
    """Return an OpenAPI document as HTML."""
    info = document["info"]
    every = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    operations = "".join(
        f"<h3>{escape(tag)}</h3>" + "".join(_operation(*each, document) for each in group)
        for tag, group in groupby(every, key=lambda each: str(each[2].get("tags", [""])[0]))
    )
    schemas = "".join(
        f"<details id='schema-{escape(name)}'><summary><code>{escape(name)}</code> {_text(schema)}</summary>"
        f"<pre>{_pretty(schema)}</pre></details>"
        for name, schema in sorted(document["components"]["schemas"].items())
    )
    title = escape(f"{info['title']} {info['version']}")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<meta name='viewport' content='width=device-width'>"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{escape(info['description'])} "
        "Send your key as <code>X-API-Key</code>, or a token as <code>Authorization: Bearer</code>. "
        "For machines: <a href='/openapi.json'>openapi.json</a>.</p>"
        f"<h2>Requests</h2>{operations}<h2>Schemas</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: Json, document: Json) -> str:
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_text(answer)} {_schemas(answer)}"
        f"{_examples(answer, document) if status.startswith('2') else ''}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    parameters = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}. {_text(one)}</td></tr>"
        for one in operation.get("parameters", [])
    )
    request = operation.get("requestBody", {})
    body = _schemas(request) and f"<div>Body: {_schemas(request)}</div>{_examples(request, document)}"
    first, _, rest = str(operation.get("description", "")).partition(". ")
    heading = f"<span class='method'>{method}</span><code>{escape(path)}</code> {_marked(first)}"
    return (
        f"<details><summary>{heading}{'.' if rest else ''}</summary>"
        + (f"<p>{_marked(rest)}</p>" if rest else "")
        + body
        + (f"<table><tr><th>Parameter</th><th></th></tr>{parameters}</table>" if parameters else "")
        + f"<table><tr><th>Answer</th><th></th></tr>{answers}</table></details>"
    )


def _examples(part: Json, document: Json) -> str:
    """Return the examples of a body, each with its name."""
    shown: list[str] = []
    for content in part.get("content", {}).values():
        for name, example in content.get("examples", {}).items():
            reference = str(example.get("$ref", "")).rsplit("/", 1)[-1]
            value = (document["components"]["examples"][reference] if reference else example).get("value")
            told = escape(value) if isinstance(value, str) else _pretty(value)
            shown.append(f"<details><summary>Example: {escape(name)}</summary><pre>{told}</pre></details>")
    return "".join(shown)


def _schemas(part: Json) -> str:
    """Return the media types of a body, each with its schema: a link to a named one, the whole of another."""
    shown: list[str] = []
    for media_type, content in part.get("content", {}).items():
        schema = content.get("schema", {})
        name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
        whole = f"<details><summary>its fields</summary><pre>{_pretty(schema)}</pre></details>"
        link = f"<a href='#schema-{escape(name)}'>{escape(name)}</a>" if name else whole
        shown.append(f"<code>{escape(media_type)}</code> {link}")
    return ", ".join(shown)


def _text(part: Json) -> str:
    return _marked(str(part.get("description", "")))


def _marked(text: str) -> str:
    """Return text as HTML; what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _pretty(value: object) -> str:
    return escape(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
