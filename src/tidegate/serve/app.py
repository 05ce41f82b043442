"""Routes, statuses and bodies: the gate's face to HTTP, as an RSGI application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from granian import rsgi

from tidegate.errors import InputError, OverloadError, TidegateError
from tidegate.metrics import REFUSALS, GateMetrics
from tidegate.serve import intake, openapi, openapi_page, refusals, wire
from tidegate.serve.batcher import Batcher
from tidegate.serve.operations import Delete, Event, Operation, Read, Result

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

    from tidegate.bundle import Bundle

__all__ = ["STATUSES", "App", "Served", "status_of"]

# granian exports it, but its types do not say so.
_Closed: type[Exception] = vars(rsgi)["ProtocolClosed"]

_log = logging.getLogger(__name__)

STATUSES = {
    "model_unknown": 404,
    "session_unknown": 404,
    "route_unknown": 404,
    "method_not_allowed": 405,
    "payload_conflict": 409,
    "seq_stale": 409,
    "seq_gap": 409,
    "previous_failed": 409,
    "session_ended": 410,
    "session_deleted": 410,
    "session_expired": 410,
    "length_required": 411,
    "body_too_large": 413,
    "too_many_events": 413,
    "internal": 500,
    "record_damaged": 500,
    "draining": 503,
    "overloaded": 503,
    "store_failed": 503,
}
"""HTTP status of an error by its code; 400 for all others."""

_JSON = [("content-type", "application/json")]
_NDJSON = [("content-type", "application/x-ndjson")]
_HTML = [("content-type", "text/html; charset=utf-8")]
_MODELS = "/v1/models"
_SESSIONS = "sessions/"
_EVENTS = "/events"

Phase = Literal["starting", "ready", "draining"]


@dataclass(frozen=True)
class Served:
    """A model that is served.

    Parameters
    ----------
    bundle : Bundle
        The model.
    batcher : Batcher
        Takes operations on its sessions.
    healthy : callable
        Says whether the store took the last commit.
    """

    bundle: Bundle
    batcher: Batcher
    healthy: Callable[[], bool]


def status_of(error: TidegateError) -> int:
    """Return the HTTP status of an error."""
    return STATUSES.get(error.code, 400)


class App:
    """The gate's routes.

    Parameters
    ----------
    models : mapping of str to Served
        By name.
    metrics : GateMetrics
        Counts and times requests, and is what ``/metrics`` shows.
    clock : callable
        Unix seconds; stamps events that bring no time.
    body_limit : int
        Bytes that a body may have.
    """

    def __init__(
        self,
        models: Mapping[str, Served],
        metrics: GateMetrics,
        clock: Callable[[], float],
        *,
        body_limit: int,
    ) -> None:
        self.phase: Phase = "starting"
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._models = dict(models)
        self._metrics = metrics
        self._clock = clock
        self._body_limit = body_limit

    async def __rsgi__(self, scope: Scope, proto: HTTPProtocol) -> None:
        """Answer one request; nothing that goes wrong inside shows outside."""
        try:
            await self._route(scope, proto)
        except TidegateError as error:
            self._refuse(proto, error)
        except (_Closed, asyncio.CancelledError):
            _log.debug("a client left before its answer, or was abandoned in a drain")
        except Exception:
            _log.exception("%s %s failed", scope.method, scope.path[:200])
            self._refuse(proto, refusals.internal())

    def _refuse(self, proto: HTTPProtocol, error: TidegateError) -> None:
        # What else refuses a lone event is counted as its outcome.
        if error.code in REFUSALS:
            self._metrics.count_refused(error.code)
        _respond_error(proto, error)

    async def idle(self) -> None:
        """Wait until no request is being answered."""
        await self._idle.wait()

    def close(self) -> None:
        """Let go of the models: granian keeps the application as long as a connection lives."""
        self._models.clear()

    @property
    def ready(self) -> bool:
        """Whether events are taken, and the store takes commits."""
        return self.phase == "ready" and all(model.healthy() for model in self._models.values())

    async def _route(self, scope: Scope, proto: HTTPProtocol) -> None:
        path: str = scope.path
        if path.startswith(_MODELS + "/"):
            name, _, rest = path[len(_MODELS) + 1 :].partition("/")
            await self._route_model(scope, proto, self._model(name), rest)
        elif path == _MODELS:
            _allow(scope, "GET")
            models = [_describe(model.bundle) for model in self._models.values()]
            _respond(proto, 200, msgspec.json.encode({"models": models}))
        elif path == "/healthz":
            _allow(scope, "GET")
            _respond(proto, 200, b'{"status":"alive"}')
        elif path == "/readyz":
            _allow(scope, "GET")
            status = "store_failed" if self.phase == "ready" and not self.ready else self.phase
            _respond(proto, 200 if self.ready else 503, msgspec.json.encode({"status": status}))
        elif path == "/metrics":
            _allow(scope, "GET")
            self._metrics.queued_events.set(sum(m.batcher.queued for m in self._models.values()))
            self._metrics.ready.set(self.ready)
            headers = [("content-type", self._metrics.content_type)]
            proto.response_bytes(200, headers, self._metrics.render())
        elif path == "/openapi.json":
            _allow(scope, "GET")
            _respond(proto, 200, msgspec.json.encode(self._document))
        elif path == "/docs":
            _allow(scope, "GET")
            proto.response_bytes(200, _HTML, openapi_page.page(self._document))
        else:
            raise _no_route(path)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return openapi.document({name: model.bundle for name, model in self._models.items()})

    async def _route_model(
        self, scope: Scope, proto: HTTPProtocol, model: Served, rest: str
    ) -> None:
        if rest.startswith(_SESSIONS):
            await self._route_session(scope, proto, model, rest[len(_SESSIONS) :])
        elif rest == _EVENTS[1:]:
            _allow(scope, "POST")
            await self._post_lines(scope, proto, model)
        elif not rest:
            _allow(scope, "GET")
            _respond(proto, 200, msgspec.json.encode(_describe(model.bundle)))
        else:
            raise _no_route(scope.path)

    async def _route_session(
        self, scope: Scope, proto: HTTPProtocol, model: Served, rest: str
    ) -> None:
        # What stands between the fixed prefix and suffix is the id, slashes and all.
        if scope.method == "POST":
            if not rest.endswith(_EVENTS):
                raise _no_route(scope.path)
            await self._post_events(scope, proto, model, _path_session(rest[: -len(_EVENTS)]))
            return
        _allow(scope, "GET", "DELETE", "POST")
        session = _path_session(rest)
        operation = Delete(session) if scope.method == "DELETE" else Read(session)
        with self._answering():
            _respond_result(proto, (await self._submit(model, [operation]))[0])

    async def _post_events(
        self, scope: Scope, proto: HTTPProtocol, model: Served, session: str
    ) -> None:
        body = await intake.read_body(scope, proto, self._body_limit)
        with self._answering():
            try:
                events, is_list = wire.parse_events(body, session, self._clock())
            except InputError:
                self._metrics.count_event(model.bundle.name, "bad_input")
                raise
            submit = partial(self._submit, model)
            results = await intake.answer_events(events, submit, model.batcher.max_batch)
            if is_list:
                _respond(proto, 200, wire.encode_items(results))
            else:
                _respond_result(proto, results[0])

    async def _post_lines(self, scope: Scope, proto: HTTPProtocol, model: Served) -> None:
        body = await intake.read_body(scope, proto, self._body_limit)
        with self._answering():
            submit = partial(self._submit, model)
            size = model.batcher.max_batch
            lines = await intake.answer_lines(body, self._clock(), submit, size)
            proto.response_bytes(200, _NDJSON, lines)

    def _submit(
        self, model: Served, operations: Sequence[Operation], *, admitted: bool = False
    ) -> asyncio.Future[list[Result]]:
        """Queue operations of a request, or refuse the request before any of it is applied."""
        try:
            if self.phase == "draining" and not admitted:
                raise refusals.draining()
            return model.batcher.submit(operations, admitted=admitted)
        except OverloadError as error:
            events = sum(isinstance(operation, Event) for operation in operations)
            self._metrics.count_event(model.bundle.name, error.code, events)
            raise

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Count a request as in flight, and time it."""
        began = perf_counter()
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            self._metrics.request_seconds.observe(perf_counter() - began)

    def _model(self, name: str) -> Served:
        model = self._models.get(name)
        if model is None:
            raise InputError(
                "model_unknown",
                f"there is no model {name[:128]!r}",
                field="model",
                hint="GET /v1/models lists what is served",
            )
        return model


def _path_session(session: str) -> str:
    """Return a session id from a path, or refuse it."""
    error = wire.check_session(session)
    if error is not None:
        raise error
    if "\ufffd" in session or "\0" in session:
        raise InputError(
            "bad_session_id",
            f"{session!r} cannot be told apart in a path",
            field="session",
            hint="send it in the body: POST /v1/models/{model}/events",
        )
    return session


class _NotAllowedError(InputError):
    """A path that does not know a method, with those that it knows."""

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(
            "method_not_allowed",
            f"{method} is not for this path",
            field="method",
            hint=f"use {' or '.join(allowed)}",
        )
        self.allowed = allowed


def _allow(scope: Scope, *methods: str) -> None:
    method = "GET" if scope.method == "HEAD" else scope.method
    if method not in methods:
        raise _NotAllowedError(scope.method, methods)


def _no_route(path: str) -> InputError:
    return InputError(
        "route_unknown",
        f"there is nothing at {path[:200]!r}",
        field="path",
        hint="events go to POST /v1/models/{model}/sessions/{session}/events",
    )


def _describe(bundle: Bundle) -> dict[str, object]:
    return {
        "name": bundle.name,
        "version": bundle.version,
        "fingerprint": bundle.fingerprint.hex(),
        "task": bundle.task,
        "fields": bundle.schema.config.fields,
    }


def _respond(proto: HTTPProtocol, status: int, body: bytes) -> None:
    proto.response_bytes(status, _JSON, body)


def _respond_result(proto: HTTPProtocol, result: Result) -> None:
    if isinstance(result, TidegateError):
        raise result
    _respond(proto, 200, wire.encode_result(result))


def _respond_error(proto: HTTPProtocol, error: TidegateError) -> None:
    status = status_of(error)
    headers = list(_JSON)
    if status == 503:
        headers.append(("retry-after", "1"))
    if isinstance(error, _NotAllowedError):
        headers.append(("allow", ", ".join(error.allowed)))  # RFC 9110, 15.5.6
    proto.response_bytes(status, headers, wire.encode_error(error))
