"""Log lines: one object of JSON each on stderr, or text for people.

Nothing here waits: a line is made where something is logged, put into a bounded queue, and written
by a thread of its own. Where stderr does not take lines as fast as they come, lines are dropped,
and the next one that gets through says how many.

No line names a session or shows what an event held. A session is told as `session_hash`, under a
key that this process made up: the same session has the same hash until the server ends, and the
hash cannot be tried out against a list of ids. The text of an exception can quote an event, so it
is left out unless the level is "debug"; where it happened is always there.
"""

from __future__ import annotations

import contextlib
import hmac
import itertools
import logging
import queue
import re
import secrets
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self, TextIO

import msgspec

__all__ = ["JsonFormatter", "Logs", "RequestIds", "TextFormatter", "session_hash"]

_KEY = secrets.token_bytes(32)
_LOGGERS = ("tidegate", "_granian", "granian", "asyncio")
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_QUEUE_LINES = 10_000
_LAST_LINES_SECONDS = 2.0
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NEVER = frozenset({"event", "events", "payload", "body", "fields", "token", "authorization"})
_TOLD = frozenset({"time", "level", "msg", "logger", "request_id", "session_hash"})


def session_hash(session: str) -> str:
    """Return how a session is told in a log: 12 digits of a keyed hash.

    Examples
    --------
    >>> session_hash("ann") == session_hash("ann") != session_hash("bob")
    True
    """
    name = session.encode("utf-8", "surrogatepass")
    return hmac.digest(_KEY, name, "sha256").hex()[:12]


class RequestIds:
    r"""Gives each request a name: the client's, if it is harmless, or a number of ours.

    Examples
    --------
    >>> ids = RequestIds("a1")
    >>> ids.of("checkout-7"), ids.of(None), ids.of("x\n{}")
    ('checkout-7', 'a1-1', 'a1-2')
    """

    def __init__(self, prefix: str | None = None) -> None:
        self._prefix = prefix or secrets.token_hex(4)
        self._next = itertools.count(1)

    def of(self, header: str | None) -> str:
        """Return the name of a request.

        Parameters
        ----------
        header : str or None
            What the client said in ``x-request-id``.
        """
        if header is not None and _SAFE_ID.fullmatch(header):
            return header
        return f"{self._prefix}-{next(self._next):x}"


class JsonFormatter(logging.Formatter):
    """A record as one object: time (RFC 3339, UTC), level, msg, logger, and what `extra` gave.

    Parameters
    ----------
    exceptions : bool
        Whether the text of an exception may be shown.

    Notes
    -----
    ``extra={"session": id}`` becomes ``session_hash``; members that would hold an event or a secret
    are left out.
    """

    def __init__(self, *, exceptions: bool = False) -> None:
        super().__init__()
        self._exceptions = exceptions

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        return msgspec.json.encode(_members(record, self._exceptions), enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """A record for people: the same members, on one line, then the place of an exception.

    Parameters
    ----------
    exceptions : bool
        Whether the text of an exception may be shown.
    """

    def __init__(self, *, exceptions: bool = False) -> None:
        super().__init__()
        self._exceptions = exceptions

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        members = _members(record, self._exceptions)
        time, level = members.pop("time"), members.pop("level")
        message, logger = members.pop("msg"), members.pop("logger")
        frames = members.pop("traceback", [])
        rest = "".join(f" {name}={value}" for name, value in members.items())
        # A message could bring a line end, and with it a line that nobody logged.
        line = f"{time} {level.upper():7} {logger}: {message}{rest}"
        line = line.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return "\n    ".join([line, *frames])


def _members(record: logging.LogRecord, exceptions: bool) -> dict[str, Any]:
    moment = datetime.fromtimestamp(record.created, UTC)
    members: dict[str, Any] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "msg": record.getMessage(),
        "logger": record.name,
    }
    for name, value in vars(record).items():
        if name == "session":
            members["session_hash"] = session_hash(str(value))
        elif name in ("request_id", "session_hash") or (
            name not in _USUAL and name not in _NEVER and name not in _TOLD
        ):
            members[name] = value
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, trace = record.exc_info
        members["exception"] = kind.__name__
        if exceptions:
            members["exception_text"] = str(error)
        members["traceback"] = _frames(trace)
    return members


def _frames(trace: TracebackType | None) -> list[str]:
    # Where, and not the source line: that could be a literal of somebody's event in a test.
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)
    ]


class Logs:
    """Takes the loggers of the server (ours, granian's, asyncio's) while it runs.

    Parameters
    ----------
    form : {"json", "text"}
        How lines look.
    level : {"debug", "info", "warning", "error"}
        The least that is logged.
    stream : text stream, optional
        Where lines go; stderr by default.

    Notes
    -----
    A context manager: at its end what is queued is written (for at most 2 s), and the loggers are
    as they were.
    """

    def __init__(
        self,
        form: Literal["json", "text"] = "json",
        level: str = "info",
        stream: TextIO | None = None,
    ) -> None:
        kind = JsonFormatter if form == "json" else TextFormatter
        self._formatter = kind(exceptions=level == "debug")
        self._level = logging.getLevelNamesMapping()[level.upper()]
        self._stream = sys.stderr if stream is None else stream
        self._handler = _Queued(self._formatter)
        self._writer = threading.Thread(target=self._write, name="tidegate-log", daemon=True)
        self._before: list[tuple[logging.Logger, list[logging.Handler], int, bool]] = []

    def __enter__(self) -> Self:
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            self._before.append((logger, logger.handlers[:], logger.level, logger.propagate))
            logger.handlers = [self._handler]
            # granian and asyncio tell at info what nobody asked.
            ours = name == "tidegate" or self._level == logging.DEBUG
            logger.setLevel(self._level if ours else max(logging.WARNING, self._level))
            logger.propagate = False
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        for logger, handlers, level, propagate in self._before:
            logger.handlers = handlers
            logger.setLevel(level)
            logger.propagate = propagate
        self._handler.end()
        self._writer.join(_LAST_LINES_SECONDS)

    def _write(self) -> None:
        told = 0
        while (line := self._handler.lines.get()) is not None:
            dropped = self._handler.dropped
            if dropped > told:
                line = f"{self._lost(dropped - told)}\n{line}"
                told = dropped
            # Where stderr is closed there is nobody left to tell.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(line + "\n")
                self._stream.flush()

    def _lost(self, lines: int) -> str:
        record = logging.LogRecord(
            __name__, logging.WARNING, "", 0, "log lines were dropped", None, None
        )
        record.dropped = lines
        return self._formatter.format(record)


class _Queued(logging.Handler):
    """Makes lines and queues them; never waits, never raises."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: queue.Queue[str | None] = queue.Queue(_QUEUE_LINES)
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except (
            Exception
        ) as error:  # a message whose parameters do not fit: a bug, not worth a crash
            line = f"a line of {record.name} failed: {type(error).__name__}"
        try:
            self.lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def end(self) -> None:
        """Let the writer end after what is queued, if it gets that far in time."""
        with contextlib.suppress(queue.Full):
            self.lines.put(None, timeout=_LAST_LINES_SECONDS)
