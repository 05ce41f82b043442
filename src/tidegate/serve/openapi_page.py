"""The OpenAPI document as one HTML page that needs no network: a small static renderer."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import msgspec

from tidegate.serve.openapi_style import SCRIPT, STYLE

__all__ = ["page"]

_Node = Mapping[str, Any]
_METHODS = ("get", "post", "delete")
_HOST = "http://127.0.0.1:8700"
"""What stands in commands until the page's script puts its own address there."""


def page(document: _Node) -> bytes:
    """Render a document that `openapi.document` made.

    Parameters
    ----------
    document : mapping
        OpenAPI 3.1.

    Returns
    -------
    bytes
        HTML in UTF-8. It loads nothing, and reads the same without its script, which only adds
        buttons that copy, and the server's own address to the commands.
    """
    info = document["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    sections = [_section(document, tag) for tag in document["tags"]]
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: the API</title><style>{STYLE}</style></head><body>"
        f'<div class="frame">{_navigation(document)}<main>'
        f'<h1>{escape(info["title"])}</h1><div class="lead">{_prose(info["description"])}</div>'
        '<p><a href="openapi.json">openapi.json</a> is this page for programs.</p>'
        f"{''.join(sections)}{_errors(document)}{_schemas(document)}"
        f"</main></div><script>{SCRIPT}</script></body></html>"
    )
    return text.encode()


def _prose(text: str) -> str:
    """Return paragraphs; what stands in backticks is code."""
    paragraphs = (re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(p)) for p in text.split("\n\n"))
    return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)


def _inline(text: str) -> str:
    return _prose(text)[3:-4]


def _operations(document: _Node, tag: str) -> Iterator[tuple[str, str, _Node]]:
    """Yield path, method and operation of everything under a tag."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item and tag in item[method]["tags"]:
                yield path, method, item[method]


def _navigation(document: _Node) -> str:
    parts = [
        f'<nav><div class="brand">{escape(document["info"]["title"])}'
        f"<small>{escape(document['info']['version'])}</small></div>"
    ]
    for tag in document["tags"]:
        links = "".join(
            f'<li><a href="#{_anchor(operation["operationId"])}">'
            f'<span class="verb {method}">{_short(method)}</span>'
            f"{escape(operation['summary'])}</a></li>"
            for _, method, operation in _operations(document, tag["name"])
        )
        parts.append(f"<h2>{escape(tag['name'])}</h2><ul>{links}</ul>")
    more = "".join(
        f'<li><a class="plain" href="#{anchor}">{name}</a></li>'
        for anchor, name in (("errors", "Errors"), ("schemas", "Schemas"))
    )
    return "".join(parts) + f"<h2>Reference</h2><ul>{more}</ul></nav>"


def _short(method: str) -> str:
    return "DEL" if method == "delete" else method.upper()


def _anchor(name: str) -> str:
    return escape(re.sub(r"[^A-Za-z0-9_-]", "-", name))


def _section(document: _Node, tag: _Node) -> str:
    operations = "".join(
        _operation(path, method, operation)
        for path, method, operation in _operations(document, tag["name"])
    )
    return (
        f'<section><h2>{escape(tag["name"])}</h2><p class="lead">{_inline(tag["description"])}</p>'
        f"{operations}</section>"
    )


def _operation(path: str, method: str, operation: _Node) -> str:
    shown = re.sub(r"(\{\w+\})", r"<i>\1</i>", escape(path))
    parts = [
        f'<article id="{_anchor(operation["operationId"])}"><header>'
        f'<span class="badge {method}">{method.upper()}</span>'
        f'<span class="path">{shown}</span>'
        f'<span class="what">{escape(operation["summary"])}</span></header>'
        f'<div class="inside">{_prose(operation["description"])}'
    ]
    if "x-websocket" in operation:
        frames = operation["x-websocket"]
        parts.append(f"<h4>Frames</h4><p>To the server: {_kind(frames['send'])}, or a list. ")
        parts.append(f"From it: {_kind(frames['receive'])}, or a list.</p>")
    else:
        parts.append(f"<h4>Try it</h4>{_shell(_curl(path, method, operation))}")
    answer = _example(operation["responses"].get("200", {}).get("content", {}))
    if answer is not None:
        pretty = msgspec.json.format(answer, indent=2)
        parts.append(f"<h4>Answer</h4>{_shell(pretty)}")
    if "requestBody" in operation:
        parts.append(f"<h4>Body</h4><p>{_bodies(operation['requestBody']['content'])}</p>")
    parts.append("<h4>Responses</h4>" + _statuses(operation["responses"]))
    return "".join(parts) + "</div></article>"


def _shell(text: str) -> str:
    return f'<div class="shell"><pre><code>{escape(text.rstrip())}</code></pre></div>'


def _curl(path: str, method: str, operation: _Node) -> str:
    words = ["curl", "-s"]
    if method == "delete":
        words += ["-X", "DELETE"]
    command = " ".join([*words, _HOST + path.replace("{session}", "bus-7")])
    if "requestBody" not in operation:
        return command
    content = operation["requestBody"]["content"]
    kind = next(iter(content))
    body = _example(content) or ""
    option = "-d" if kind == "application/json" else "--data-binary"
    return f"{command} \\\n  -H 'content-type: {kind}' \\\n  {option} {shlex.quote(body)}"


def _example(content: _Node) -> str | None:
    """Return the first example of a body, as text."""
    for media in content.values():
        if "example" in media:
            return str(media["example"]).rstrip("\n")
        if media.get("examples"):
            value = next(iter(media["examples"].values()))["value"]
            return msgspec.json.encode(value).decode()
    return None


def _bodies(content: _Node) -> str:
    """Return the media types of a body, each with what it holds."""
    return "<br>".join(
        f'<code>{escape(kind)}</code><span class="holds">{_body(media)}</span>'
        for kind, media in content.items()
    )


def _body(media: _Node) -> str:
    if "x-line-schema" in media:
        return f"each line: {_kind(media['x-line-schema'])}"
    schema = media["schema"]
    if "contentMediaType" in schema:
        return "a stream of record batches"
    return "" if schema in ({"type": "string"}, {"type": "object"}) else _kind(schema)


def _statuses(responses: _Node) -> str:
    """Return one row a status; errors that have one code between them share the last row."""
    rows, short = [], []
    for status, response in responses.items():
        codes = re.findall(r"`(\w+)`:", response["description"])
        if len(codes) == 1:
            short.append(f'<b class="bad">{status}</b> {codes[0]}')
        elif codes:
            rows.append(f'<dt class="bad">{status}</dt><dd>{", ".join(codes)}</dd>')
        else:
            look = "good" if status < "400" else "bad"
            bodies = _bodies(response.get("content", {}))
            rows.append(
                f'<dt class="{look}">{status}</dt><dd>{_inline(response["description"])}'
                f"{'<br>' + bodies if bodies else ''}</dd>"
            )
    if short:
        rows.append(
            f'<dt></dt><dd class="short">{" ".join(f"<span>{s}</span>" for s in short)}</dd>'
        )
    return f'<dl class="statuses">{"".join(rows)}</dl>'


def _errors(document: _Node) -> str:
    rows = "".join(
        f'<tr><td class="name">{entry["status"]}</td><td class="name"><code>{escape(code)}</code>'
        f'</td><td class="kind">{entry["scope"]}</td><td>{_inline(entry["meaning"])}</td></tr>'
        for code, entry in document["x-error-codes"].items()
    )
    return (
        '<section id="errors"><h2>Errors</h2><p class="lead">Nothing of a refused event is '
        "applied. In a list, in NDJSON and in frames the error stands in its event's place, and "
        'the status is 200.</p><div class="wide"><table><tr><th>Status</th><th>Code</th>'
        f"<th>Refuses</th><th>Meaning</th></tr>{rows}</table></div></section>"
    )


def _schemas(document: _Node) -> str:
    schemas = document["components"]["schemas"]
    # Those of the models, which have a dot in their names, are what a reader looks for.
    blocks = "".join(_schema(name, schemas[name]) for name in sorted(schemas, key=_is_common))
    return f'<section id="schemas"><h2>Schemas</h2>{blocks}</section>'


def _is_common(name: str) -> bool:
    return "." not in name


def _schema(name: str, schema: _Node) -> str:
    required = schema.get("required", ())
    rows = []
    for member, inner in schema.get("properties", {}).items():
        need = '<span class="need">required</span>' if member in required else ""
        rows.append(
            f'<tr><td class="name"><code>{escape(member)}</code>{need}</td>'
            f'<td class="kind">{_kind(inner)}</td>'
            f"<td>{_inline(inner.get('description', ''))}</td></tr>"
        )
    about = f"<p>{_inline(schema['description'])}</p>" if "description" in schema else ""
    table = f'<table class="members">{"".join(rows)}</table>' if rows else ""
    return (
        f'<div class="schema" id="schema-{_anchor(name)}"><h3>{escape(name)}</h3>{about}{table}'
        "</div>"
    )


def _kind(schema: _Node) -> str:
    """Return the type of a schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{_anchor(name)}">{escape(name)}</a>'
    for joint in ("oneOf", "anyOf"):
        if joint in schema:
            return " or ".join(_kind(part) for part in schema[joint])
    if "enum" in schema:
        values = [f"<code>{escape(str(value))}</code>" for value in schema["enum"][:6]]
        return ", ".join(values) + (", ..." if len(schema["enum"]) > len(values) else "")
    if "const" in schema:
        return f"<code>{escape(msgspec.json.encode(schema['const']).decode())}</code>"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if "properties" in schema:
        members = (f"<code>{escape(m)}</code>: {_kind(s)}" for m, s in schema["properties"].items())
        return "{" + ", ".join(members) + "}"
    types = schema.get("type", "any")
    return escape(types if isinstance(types, str) else " | ".join(types)) + _range(schema)


def _range(schema: _Node) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None or least < -1e6:  # bounds that only keep nonsense out
        return ""
    return f", {least:g} to {most:g}" if most is not None and most < 1e6 else f", from {least:g}"
