"""Statuses, headers and bodies: what the gate's routes answer with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.errors import InputError, TidegateError
from tidegate.metrics import REFUSALS, GateMetrics
from tidegate.serve import wire
from tidegate.serve.codes import status_of
from tidegate.serve.logs import RequestIds
from tidegate.serve.operations import Result

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

    from tidegate.bundle import Bundle

__all__ = [
    "ARROW",
    "ARROW_TYPE",
    "HTML",
    "NDJSON",
    "NotAllowedError",
    "Refusing",
    "describe",
    "respond",
    "respond_result",
]

_log = logging.getLogger(__name__)

_JSON = [("content-type", "application/json")]
NDJSON = [("content-type", "application/x-ndjson")]
ARROW_TYPE = "application/vnd.apache.arrow.stream"
ARROW = [("content-type", ARROW_TYPE)]
HTML = [("content-type", "text/html; charset=utf-8")]


def respond(proto: HTTPProtocol, status: int, body: bytes) -> None:
    """Answer with JSON."""
    proto.response_bytes(status, _JSON, body)


def respond_result(proto: HTTPProtocol, result: Result) -> None:
    """Answer with what came of an operation; raises it if it is an error."""
    if isinstance(result, TidegateError):
        raise result
    respond(proto, 200, wire.encode_result(result))


def describe(bundle: Bundle, kept_answers: int) -> dict[str, object]:
    """Return what is said of a model, and how many answers of a session are kept for retries."""
    return {
        "name": bundle.name,
        "version": bundle.version,
        "fingerprint": bundle.fingerprint.hex(),
        "task": bundle.task,
        "fields": bundle.schema.config.fields,
        "kept_answers": kept_answers,
    }


class NotAllowedError(InputError):
    """A path that does not know a method, with those that it knows."""

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(
            "method_not_allowed",
            f"{method} is not for this path",
            field="method",
            hint=f"use {' or '.join(allowed)}",
        )
        self.allowed = allowed


class Refusing:
    """Answers with errors.

    Parameters
    ----------
    metrics : GateMetrics
        Counts what no event's outcome counts.
    """

    def __init__(self, metrics: GateMetrics) -> None:
        self._metrics = metrics
        self._ids = RequestIds()

    def refuse(
        self, scope: Scope, proto: HTTPProtocol, error: TidegateError, *, unexpected: bool = False
    ) -> None:
        """Answer with an error, under a name by which the log has it too."""
        # What else refuses a lone event is counted as its outcome.
        if error.code in REFUSALS:
            self._metrics.count_refused(error.code)
        status = status_of(error)
        request = self._ids.of(scope.headers.get("x-request-id"))
        # Counters tell of the others: an overloaded server needs no line for each of them.
        is_ours = status == 500 or error.code == "store_failed"
        level = logging.WARNING if is_ours else logging.DEBUG
        told = {"request_id": request, "code": error.code, "status": status}
        session = scope.path.partition("/sessions/")[2].removesuffix("/events")
        if session:
            told["session"] = session  # the log has its hash
        _log.log(level, "a request was refused", extra=told, exc_info=unexpected)
        _respond_error(proto, error, status, request)


def _respond_error(proto: HTTPProtocol, error: TidegateError, status: int, request: str) -> None:
    headers = [*_JSON, ("x-request-id", request)]
    if status in (429, 503):
        headers.append(("retry-after", "1"))
    if status == 401:
        headers.append(("www-authenticate", "Bearer"))  # RFC 9110, 15.5.2
    if isinstance(error, NotAllowedError):
        headers.append(("allow", ", ".join(error.allowed)))  # RFC 9110, 15.5.6
    proto.response_bytes(status, headers, wire.encode_error(error))
