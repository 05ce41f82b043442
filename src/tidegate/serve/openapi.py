"""The OpenAPI 3.1 document of a server: every route, event, answer and error, from its models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tidegate import __version__
from tidegate.bundle import Bundle
from tidegate.serve import openapi_schemas as schemas
from tidegate.serve.codes import CODES, Scope

__all__ = ["document"]

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_ARROW = "application/vnd.apache.arrow.stream"

_ABOUT = """\
A model that remembers each session: one event in, one answer out, and a memory that survives.

An answer that has left is durable. An event with a `seq` is applied once: whoever does not know
whether it arrived sends it again, with the same `seq` and content, and gets the stored answer with
`"duplicate": true`."""


def document(models: Mapping[str, Bundle]) -> dict[str, Any]:
    """Describe a server.

    Parameters
    ----------
    models : mapping of str to Bundle
        What it serves, by the name in the path.

    Returns
    -------
    dict
        OpenAPI 3.1, JSON-able. Each model has paths of its own, so that its events and answers have
        exact schemas. Examples are of events that its engine answered.
    """
    paths: dict[str, Any] = {}
    components: dict[str, Any] = dict(schemas.COMMON)
    for name, bundle in models.items():
        components |= _model_schemas(name, bundle)
        paths |= _model_paths(name, schemas.example(bundle), bundle.version)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tidegate", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [
            *({"name": name, "description": _about_model(b)} for name, b in models.items()),
            {"name": "server", "description": "The models that are served, and how it is."},
        ],
        "paths": paths | _server_paths(),
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
        "x-error-codes": {code: entry._asdict() for code, entry in CODES.items()},
    }


def _about_model(bundle: Bundle) -> str:
    task = bundle.task
    return f"Version {bundle.version}: {task.name} `{task.label}`, per {task.per}."


def _model_schemas(name: str, bundle: Bundle) -> dict[str, Any]:
    fields, words = f"{name}.Fields", f"{name}.Words"
    return {
        fields: schemas.event_fields(bundle),
        words: schemas.answer_words(bundle),
        f"{name}.Event": schemas.envelope(fields, session=False),
        f"{name}.SessionEvent": schemas.envelope(fields, session=True),
        f"{name}.Answer": schemas.answer(words),
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _any_of(*names: str) -> dict[str, Any]:
    return {"anyOf": [_ref(name) for name in names]}


def _content(kind: str, schema: dict[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: {"value": value} for name, value in examples.items()}
    return {kind: {"schema": schema, **({"examples": named} if named else {})}}


def _ok(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": description, "content": content}}


_RETRY_AFTER = {
    "retry-after": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
}
_UNAVAILABLE = 503


def _errors(statuses: Iterable[int], *scopes: Scope) -> dict[str, Any]:
    """Return the responses of error statuses, each with the codes of some scopes."""
    responses = {}
    for status in sorted(statuses):
        codes = {c: e for c, e in CODES.items() if e.status == status and e.scope in scopes}
        response: dict[str, Any] = {
            "description": "; ".join(f"`{code}`: {e.meaning}" for code, e in codes.items()),
            "content": _content(_JSON, _ref("Error"), {}),
        }
        if status == _UNAVAILABLE:
            response["headers"] = _RETRY_AFTER
        responses[str(status)] = response
    return responses


_BODY_ERRORS = {400, 401, 404, 405, 408, 411, 413, 500, 503}
_EVENT_ERRORS = _BODY_ERRORS | {409, 410}
_SESSION_ERRORS = {400, 401, 404, 405, 410, 500, 503}
_READ_ERRORS = {401, 404, 405, 500}

_SESSION_PARAMETER = {
    "name": "session",
    "in": "path",
    "required": True,
    "description": "Percent-encoded; it may hold slashes.",
    "schema": schemas.SESSION_ID,
    "example": "bus-7",
}


def _operation(
    name: str, identity: str, summary: str, description: str, **members: Any
) -> dict[str, Any]:
    return {
        "tags": [name],
        "operationId": f"{name}.{identity}",
        "summary": summary,
        "description": description,
        **members,
    }


def _model_paths(name: str, example: schemas.Example, version: str) -> dict[str, Any]:
    base = f"/v1/models/{name}"
    event = {"seq": 1, "time": example.time, "event": example.event}
    answer = {
        "session": "bus-7",
        "seq": 1,
        "time": example.time,
        "model_version": version,
        "answer": example.answer,
    }
    return {
        f"{base}/sessions/{{session}}/events": {
            "parameters": [_SESSION_PARAMETER],
            "post": _post_session(name, event, answer),
        },
        f"{base}/sessions/{{session}}": {
            "parameters": [_SESSION_PARAMETER],
            "get": _operation(
                name,
                "readSession",
                "What is known of a session",
                "Where the session stands: the next event has the number `seq` + 1.",
                responses=_ok("The session.", _content(_JSON, _ref("Session"), {}))
                | _errors(_SESSION_ERRORS, "request", "session"),
            ),
            "delete": _operation(
                name,
                "deleteSession",
                "Forget a session",
                "Its memory and answers are gone; a tombstone refuses its events for a day.",
                responses=_ok("The session, deleted.", _content(_JSON, _ref("Session"), {}))
                | _errors(_SESSION_ERRORS, "request", "session"),
            ),
        },
        f"{base}/events": {"post": _post_many(name, event, answer)},
        f"{base}/ws": {"get": _websocket(name)},
        base: {
            "get": _operation(
                name,
                "describe",
                "The model, its task and its fields",
                "What an event has to hold.",
                responses=_ok("The model.", _content(_JSON, _ref("Model"), {}))
                | _errors(_READ_ERRORS, "request"),
            )
        },
    }


def _post_session(name: str, event: Any, answer: Any) -> dict[str, Any]:
    one, many = _ref(f"{name}.Event"), {"type": "array", "items": _ref(f"{name}.Event")}
    answered = _any_of(f"{name}.Answer", "Error")
    following = {"seq": 2, "time": event["time"] + 30.0, "event": event["event"]}
    return _operation(
        name,
        "postEvents",
        "One event of a session, or a list",
        "A list is answered with status 200 and one answer or error an event, in its order. After "
        "a failed event, later events of the list fail too.",
        requestBody={
            "required": True,
            "content": _content(
                _JSON, {"oneOf": [one, many]}, {"one": event, "list": [event, following]}
            ),
        },
        responses=_ok(
            "The answer, or the list of them. It is durable.",
            _content(
                _JSON,
                {"oneOf": [_ref(f"{name}.Answer"), {"type": "array", "items": answered}]},
                {"one": answer},
            ),
        )
        | _errors(_EVENT_ERRORS, "request", "session", "event"),
    )


def _post_many(name: str, event: Any, answer: Any) -> dict[str, Any]:
    line = {**_ref(f"{name}.SessionEvent"), "description": "Each line."}
    answered = {**_any_of(f"{name}.Answer", "LineError"), "description": "Each line."}
    arrow = {"type": "string", "contentMediaType": _ARROW}
    return _operation(
        name,
        "postMany",
        "Events of many sessions, as NDJSON or Arrow",
        "A line is one event that names its session; a line of the answer is an answer or an "
        "error, in the order of the input. With Arrow IPC, a row is an event: columns `session`, "
        "`seq`, `time`, `start`, `end` and one a field; the answer has a row an event.",
        requestBody={
            "required": True,
            "content": {
                _NDJSON: {
                    "schema": {"type": "string"},
                    "x-line-schema": line,
                    "example": _line({"session": "bus-7", **event}),
                },
                _ARROW: {"schema": arrow},
            },
        },
        responses=_ok(
            "One answer or error an event.",
            {
                _NDJSON: {
                    "schema": {"type": "string"},
                    "x-line-schema": answered,
                    "example": _line(answer),
                },
                _ARROW: {"schema": arrow},
            },
        )
        | _errors(_BODY_ERRORS, "request", "session", "event"),
    )


def _line(value: Any) -> str:
    return msgspec.json.encode(value).decode() + "\n"


def _websocket(name: str) -> dict[str, Any]:
    return _operation(
        name,
        "webSocket",
        "Events over one WebSocket",
        "A text frame is an event that names its session, or a list of them. The answer's frame "
        "has the same shape: an answer or error, or a list, each with its `session` and `seq`.",
        responses={"101": {"description": "The connection is a WebSocket from here on."}}
        | _errors(_READ_ERRORS | {503}, "request"),
        **{
            "x-websocket": {
                "send": _ref(f"{name}.SessionEvent"),
                "receive": _any_of(f"{name}.Answer", "Error"),
            }
        },
    )


def _server_paths() -> dict[str, Any]:
    def read(identity: str, summary: str, description: str, responses: Any) -> dict[str, Any]:
        return {"get": _operation("server", identity, summary, description, responses=responses)}

    health = _content(_JSON, _ref("Health"), {})
    text = {"schema": {"type": "string"}}
    refused = _errors({401, 405, 500}, "request")
    return {
        "/v1/models": read(
            "models",
            "The models that are served",
            "With their tasks and fields.",
            _ok("The models.", _content(_JSON, _ref("Models"), {})) | refused,
        ),
        "/healthz": read(
            "healthz",
            "Is it alive?",
            "Liveness.",
            _ok("It is.", health) | _errors({405, 500}, "request"),
        ),
        "/readyz": read(
            "readyz",
            "Does it take events?",
            "Readiness.",
            _ok("It does.", health)
            | {"503": {"description": "It does not: `status` says why.", "content": health}}
            | _errors({405, 500}, "request"),
        ),
        "/metrics": read(
            "metrics",
            "Metrics",
            "Prometheus' text format.",
            _ok("The metrics.", {"text/plain": text}) | refused,
        ),
        "/openapi.json": read(
            "openapi",
            "This document",
            "OpenAPI 3.1.",
            _ok("The document.", {_JSON: {"schema": {"type": "object"}}}) | refused,
        ),
        "/docs": read(
            "docs",
            "This document, as a page",
            "It loads nothing from elsewhere.",
            _ok("The page.", {"text/html": text}) | refused,
        ),
    }
