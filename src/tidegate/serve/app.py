"""The gate's routes, as an RSGI application; `responses` has what leaves on them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
from granian import rsgi

from tidegate.errors import InputError, TidegateError
from tidegate.metrics import Distribution, GateMetrics
from tidegate.serve import lines, refusals, sockets, wire
from tidegate.serve.intake import Intake
from tidegate.serve.model import Model, Phase
from tidegate.serve.operations import (
    Delete,
    Event,
    Operation,
    Part,
    Read,
    Refused,
    Result,
    Unread,
)
from tidegate.serve.outflow import Outflow
from tidegate.serve.responses import (
    ARROW,
    ARROW_TYPE,
    HTML,
    NDJSON,
    NotAllowedError,
    Refusing,
    respond,
    respond_result,
)

if TYPE_CHECKING:
    from granian._granian import RSGIHeaders as Headers
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian._granian import RSGIWebsocketProtocol as WebsocketProtocol
    from granian.rsgi import Scope

__all__ = ["App"]

# granian exports it, but its types do not say so.
_Closed: type[Exception] = vars(rsgi)["ProtocolClosed"]

_log = logging.getLogger(__name__)

_MODELS = "/v1/models"
_MODEL = "/v1/models/"
_SESSIONS = "sessions/"
_EVENTS = "/events"
_OPEN = frozenset({"/healthz", "/readyz"})


class App:
    """The gate's routes.

    Parameters
    ----------
    models : mapping of str to Model
        By name.
    metrics : GateMetrics
        Counts and times requests, and is what ``/metrics`` shows.
    intake : Intake
        Reads bodies.
    line_bytes : int
        Bytes that a line of a stream, or a frame of a WebSocket, may have.
    deadline_seconds : float
        How long an event may wait to be stepped, where its request does not say; 0: for ever.
    authorize : callable, optional
        Takes the header ``Authorization``, gives the name of whom it belongs to, or None to refuse.
        By default everybody may do everything. What tells health is open to all.
    stuck : callable, optional
        Gives the names of what should go on and does not.
    refresh : callable, optional
        Called before ``/metrics`` is shown.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        metrics: GateMetrics,
        intake: Intake,
        *,
        line_bytes: int = 2**20,
        deadline_seconds: float = 0.0,
        authorize: Callable[[str | None], str | None] | None = None,
        stuck: Callable[[], list[str]] = list,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._phase: Phase = "starting"
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._models = dict(models)
        self._metrics = metrics
        self._refusing = Refusing(metrics)
        self._intake = intake
        self._line_bytes = line_bytes
        self._deadline_seconds = deadline_seconds
        self._authorize = authorize
        self._stuck = stuck
        self._refresh = refresh

    @property
    def phase(self) -> Phase:
        """Where the server is in its life."""
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase
        for model in self._models.values():
            model.draining = phase == "draining"
        if phase == "draining":
            self._intake.waits.end()

    async def __rsgi__(self, scope: Scope, proto: HTTPProtocol | WebsocketProtocol) -> None:
        """Answer one request; nothing that goes wrong inside shows outside."""
        if scope.proto == "ws":
            await self._socket(scope, proto)  # type: ignore[arg-type]
            return
        http: HTTPProtocol = proto  # type: ignore[assignment]
        try:
            handling = self._route(scope, http)
            if handling is not None:
                await handling
        except TidegateError as error:
            self._refusing.refuse(scope, http, error)
        except (_Closed, asyncio.CancelledError, TimeoutError):
            _log.debug("a client left before its answer, did not take it, or was abandoned")
        except Exception:
            self._refusing.refuse(scope, http, refusals.internal(), unexpected=True)

    def begin(self) -> None:
        """Say that a request is being answered."""
        self._in_flight += 1

    def end(self) -> None:
        """Say that one has been."""
        self._in_flight -= 1
        if not self._in_flight and self._phase == "draining":
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no request is being answered; to be called in a drain."""
        if self._in_flight:
            await self._idle.wait()

    def close(self) -> None:
        """Let go of the models: granian keeps the application as long as a connection lives."""
        self._models.clear()

    @property
    def ready(self) -> bool:
        """Whether events are taken, and the store takes commits."""
        return self._phase == "ready" and all(model.healthy for model in self._models.values())

    # Routes. What has to wait is returned, to be awaited: a coroutine that only awaits another
    # would cost each event half a microsecond.

    def _is_allowed(self, scope: Scope) -> bool:
        authorize = self._authorize
        return authorize is None or authorize(scope.headers.get("authorization")) is not None

    def _route(self, scope: Scope, proto: HTTPProtocol) -> Awaitable[None] | None:
        path: str = scope.path
        if path not in _OPEN and not self._is_allowed(scope):
            raise refusals.unauthorized()
        if path.startswith(_MODEL):
            name, _, rest = path[len(_MODEL) :].partition("/")
            return self._route_model(scope, proto, self._model(name), rest)
        if path == _MODELS:
            _allow(scope, "GET")
            models = [model.described for model in self._models.values()]
            respond(proto, 200, msgspec.json.encode({"models": models}))
        elif path == "/healthz":
            _allow(scope, "GET")
            stuck = self._stuck()
            alive = {"status": "stuck", "what": stuck} if stuck else {"status": "alive"}
            respond(proto, 503 if stuck else 200, msgspec.json.encode(alive))
        elif path == "/readyz":
            _allow(scope, "GET")
            status = "store_failed" if self._phase == "ready" and not self.ready else self._phase
            respond(proto, 200 if self.ready else 503, msgspec.json.encode({"status": status}))
        elif path == "/metrics":
            _allow(scope, "GET")
            return self._show_metrics(proto)
        elif path == "/openapi.json":
            _allow(scope, "GET")
            respond(proto, 200, msgspec.json.encode(self._document))
        elif path == "/docs":
            _allow(scope, "GET")
            from tidegate.serve import openapi_page  # few look at it

            proto.response_bytes(200, HTML, openapi_page.page(self._document))
        else:
            raise _no_route(path)
        return None

    async def _show_metrics(self, proto: HTTPProtocol) -> None:
        # Its library takes a tenth of a start to load, which nobody else need wait for.
        await asyncio.to_thread(import_module, "tidegate.metrics.exposition")
        self._metrics.queued_events.set(sum(m.batcher.queued for m in self._models.values()))
        self._metrics.ready.set(self.ready)
        self._refresh()
        headers = [("content-type", self._metrics.content_type)]
        proto.response_bytes(200, headers, self._metrics.render())

    @cached_property
    def _document(self) -> dict[str, Any]:
        from tidegate.serve import openapi  # few ask for it

        return openapi.document({name: model.bundle for name, model in self._models.items()})

    def _route_model(
        self, scope: Scope, proto: HTTPProtocol, model: Model, rest: str
    ) -> Awaitable[None] | None:
        if rest.startswith(_SESSIONS):
            return self._route_session(scope, proto, model, rest[len(_SESSIONS) :])
        if rest == _EVENTS[1:]:
            _allow(scope, "POST")
            kind = scope.headers.get("content-type") or ""
            if kind.partition(";")[0].strip().lower() == ARROW_TYPE:
                return self._post_arrow(scope, proto, model)
            return self._post_lines(scope, proto, model)
        if rest:
            raise _no_route(scope.path)
        _allow(scope, "GET")
        respond(proto, 200, msgspec.json.encode(model.described))
        return None

    def _route_session(
        self, scope: Scope, proto: HTTPProtocol, model: Model, rest: str
    ) -> Awaitable[None]:
        # What stands between the fixed prefix and suffix is the id, slashes and all.
        if scope.method == "POST":
            if not rest.endswith(_EVENTS):
                raise _no_route(scope.path)
            return self._post_events(scope, proto, model, _path_session(rest[: -len(_EVENTS)]))
        _allow(scope, "GET", "DELETE", "POST")
        session = _path_session(rest)
        operation = Delete(session) if scope.method == "DELETE" else Read(session)
        return self._manage(proto, model, operation)

    async def _manage(self, proto: HTTPProtocol, model: Model, operation: Read | Delete) -> None:
        with self._answering("http"):
            respond_result(proto, (await model.submit(Part([operation])))[0])

    async def _post_events(
        self, scope: Scope, proto: HTTPProtocol, model: Model, session: str
    ) -> None:
        headers = scope.headers
        body = await self._intake.whole(headers, proto)
        with self._answering("http"):
            deadline = self._deadline(headers)
            if wire.is_list(body):
                await self._post_list(proto, model, self._list_of(model, body, session), deadline)
                return
            results = await model.submit_alone(Unread(session, body), deadline=deadline)
            respond_result(proto, results[0])

    def _list_of(self, model: Model, body: bytes, session: str) -> list[Event | Refused]:
        try:
            return wire.read_list(body, session)
        except InputError:
            self._metrics.count_event(model.bundle.name, "bad_input")
            raise

    async def _post_list(
        self,
        proto: HTTPProtocol,
        model: Model,
        events: Sequence[Operation],
        deadline: float,
    ) -> None:
        results: list[Result] = []
        failed: set[str] = set()
        size = model.batcher.max_batch
        for first in range(0, len(events), size):
            part = Part(events[first : first + size], failed, deadline)
            results += await model.submit(part, admitted=first > 0)
        respond(proto, 200, wire.encode_items(results))

    async def _post_lines(self, scope: Scope, proto: HTTPProtocol, model: Model) -> None:
        length = scope.headers.get("content-length")
        slices = lines.Slices(line_bytes=self._line_bytes, most=model.batcher.most_lines)
        with self._answering("ndjson"):
            await lines.answer(
                self._intake.pieces(proto, ends=length is not None),
                model,
                slices,
                length=None if length is None else int(length),
                begin=lambda: proto.response_stream(200, NDJSON).send_bytes,
                outflow=Outflow(scope.client, scope.server, self._intake.seconds),
            )

    async def _post_arrow(self, scope: Scope, proto: HTTPProtocol, model: Model) -> None:
        # Its library is an extra, and takes half a second to load: others need not wait for that.
        arrow = await asyncio.to_thread(import_module, "tidegate.serve.arrow")
        body = await self._intake.whole(scope.headers, proto)
        with self._answering("arrow"):
            table = await arrow.answer(body, model)
            proto.response_bytes(200, ARROW, table)

    async def _socket(self, scope: Scope, proto: WebsocketProtocol) -> None:
        path: str = scope.path
        name, _, rest = path[len(_MODEL) :].partition("/")
        model = self._models.get(name)
        if not self._is_allowed(scope):
            proto.close(401)
            return
        if not path.startswith(_MODEL) or rest != "ws" or model is None:
            proto.close(404)
            return
        transport = await proto.accept()
        self._metrics.websocket_connections.inc()
        self.begin()
        try:
            await sockets.answer(
                transport,
                model,
                self._intake.waits,
                frame_bytes=self._line_bytes,
                seconds=self._intake.seconds,
            )
        except (_Closed, asyncio.CancelledError, TimeoutError):
            _log.debug("a client left its WebSocket, or does not take its answers")
        finally:
            try:
                proto.close(1001 if model.draining else None)
                if model.draining:
                    await sockets.closed(transport)
            finally:
                self.end()
                self._metrics.websocket_connections.inc(-1)

    # What all of them need

    def _deadline(self, headers: Headers) -> float:
        given = headers.get("x-deadline-ms")
        if given is None:
            seconds = self._deadline_seconds
            return time.monotonic() + seconds if seconds else float("inf")
        if not (given.isascii() and given.isdigit()) or len(given) > 9:
            raise InputError(
                "bad_deadline",
                f"{given[:20]!r} is no number of milliseconds",
                field="x-deadline-ms",
                hint="send a whole number, or leave the header out",
            )
        return time.monotonic() + int(given) / 1000.0

    def _answering(self, transport: str) -> _Answering:
        """Count a request as in flight, and time it."""
        return _Answering(self, self._metrics.request_seconds[transport])

    def _model(self, name: str) -> Model:
        model = self._models.get(name)
        if model is None:
            raise InputError(
                "model_unknown",
                f"there is no model {name[:128]!r}",
                field="model",
                hint="GET /v1/models lists what is served",
            )
        return model


class _Answering:
    """A request that is being answered."""

    __slots__ = ("_app", "_began", "_seen")

    def __init__(self, app: App, seen: Distribution) -> None:
        self._app = app
        self._seen = seen

    def __enter__(self) -> None:
        self._began = perf_counter()
        self._app.begin()

    def __exit__(self, *_: object) -> None:
        self._app.end()
        self._seen.observe(perf_counter() - self._began)


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


def _allow(scope: Scope, *methods: str) -> None:
    method = "GET" if scope.method == "HEAD" else scope.method
    if method not in methods:
        raise NotAllowedError(scope.method, methods)


def _no_route(path: str) -> InputError:
    return InputError(
        "route_unknown",
        f"there is nothing at {path[:200]!r}",
        field="path",
        hint="events go to POST /v1/models/{model}/sessions/{session}/events",
    )
