"""Every error code that the server can answer with: its HTTP status, and what it means.

One table: the OpenAPI document, its page and the client read it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from tidegate.errors import TidegateError

__all__ = ["CODES", "Code", "Scope", "status_of"]

Scope = Literal["request", "event", "session"]
"""What is refused: a whole request; one event; or whatever is asked of a session."""


class Code(NamedTuple):
    """What an error code stands for.

    Parameters
    ----------
    status : int
        HTTP status, where the error is the whole answer. In a list or a stream of answers the
        status is 200, and the error stands in its event's place.
    scope : {"request", "event", "session"}
        What it refuses.
    meaning : str
        One sentence.
    """

    status: int
    scope: Scope
    meaning: str


CODES: dict[str, Code] = {
    "bad_json": Code(400, "event", "The body or line is not JSON in UTF-8."),
    "not_an_object": Code(400, "event", "The event is not a JSON object."),
    "missing_member": Code(400, "event", "The event has no `event`, or a line has no `session`."),
    "unknown_member": Code(400, "event", "A member beside `event` is none of the known ones."),
    "wrong_session": Code(400, "event", "The body names another session than the path."),
    "bad_session_id": Code(400, "session", "A session id has 1 to 512 bytes of UTF-8."),
    "unknown_field": Code(400, "event", "The model has no such field."),
    "missing_field": Code(400, "event", "A field that must have a value has none."),
    "wrong_type": Code(400, "event", "A value is of another type than its field or member."),
    "not_finite": Code(400, "event", "A number is NaN, infinite or beyond what float64 holds."),
    "constant_changed": Code(400, "event", "A constant field has another value than before."),
    "not_finite_output": Code(400, "event", "The model's output overflowed on this event."),
    "line_too_long": Code(413, "event", "A line is longer than the server's bound."),
    "body_cut": Code(400, "request", "The body ended before its Content-Length."),
    "bad_deadline": Code(400, "request", "The header x-deadline-ms is no whole number."),
    "bad_arrow": Code(400, "request", "The body is no Arrow IPC stream."),
    "missing_column": Code(400, "request", "The table lacks a column, or one has nulls."),
    "unknown_column": Code(400, "request", "The table has a column that the model does not know."),
    "arrow_missing": Code(415, "request", "This server was installed without Arrow."),
    "line_cut": Code(400, "event", "The last line of a chunked body has no newline."),
    "unauthorized": Code(401, "request", "There is no API key, or it is not known."),
    "model_unknown": Code(404, "request", "No such model is served."),
    "session_unknown": Code(404, "session", "There is no such session."),
    "route_unknown": Code(404, "request", "There is nothing at this path."),
    "method_not_allowed": Code(405, "request", "The path does not know this method."),
    "body_timeout": Code(408, "request", "The body did not arrive in time."),
    "payload_conflict": Code(409, "event", "This `seq` was answered before, with other content."),
    "seq_stale": Code(409, "event", "This `seq` is older than the answers that are kept."),
    "seq_gap": Code(409, "event", "Events before this `seq` are missing; see `expected`."),
    "previous_failed": Code(409, "event", "An earlier event of the session failed in the request."),
    "session_ended": Code(410, "session", "The session has ended."),
    "session_deleted": Code(410, "session", "The session was deleted."),
    "session_expired": Code(410, "session", "The session expired."),
    "length_required": Code(411, "request", "This route takes no chunked bodies."),
    "body_too_large": Code(413, "request", "The body is larger than the server's bound."),
    "too_many_events": Code(413, "request", "The request holds more events than one may."),
    "internal": Code(500, "request", "Something went wrong inside; the server's log says more."),
    "record_damaged": Code(500, "session", "The stored record of the session is damaged."),
    "deadline_exceeded": Code(504, "event", "It waited longer than its deadline; not applied."),
    "overloaded": Code(503, "request", "The queue is full. Nothing was applied."),
    "draining": Code(503, "request", "The server is shutting down. Nothing was applied."),
    "store_failed": Code(503, "session", "The store refused a read or commit. Send it again."),
}
"""By code. What a server refuses may have other codes in later versions, with the same statuses."""


def status_of(error: TidegateError) -> int:
    """Return the HTTP status of an error."""
    code = CODES.get(error.code)
    return 400 if code is None else code.status
