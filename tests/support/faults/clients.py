"""Clients that number their events and send them again until each is answered.

They speak every transport, and let sessions end, be deleted and begin anew. What a session is
between two beginnings is a life of it: the history has each under a name of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow as pa

from faults.history import LIFE, Attempt, History, Sent
from faults.websocket import WebSocket

__all__ = ["BROKEN", "TRANSPORTS", "Client", "Item", "Stream", "event_of", "make_event"]

BROKEN = (OSError, http.client.HTTPException)
"""What a connection raises that the server no longer answers."""
_RUN = 4
"""Events of a session that are sent ahead of their answers: fewer than are kept for retries."""
_UNSETTLED = {"store_failed", "overloaded", "draining"}
"""Errors after which the same event is sent again; it may have been applied all the same."""


class Item(msgspec.Struct):
    """An answer or an error, as the wire has it."""

    session: str = ""
    seq: int = 0
    time: float = 0.0
    answer: msgspec.Raw = msgspec.Raw()
    duplicate: bool = False
    error: dict[str, Any] | None = None


_LATER = (429, 503)
"""Statuses after which the same request is sent again."""
ARROW_FIELDS = {
    "speed": pa.float64(),
    "driver": pa.string(),
    "load": pa.float64(),
    "road": pa.string(),
    "wet": pa.bool_(),
}

TRANSPORTS = ("lines", "chunked", "cut", "socket", "arrow")
"""How events of several sessions are sent; ``cut``: in a body that breaks off."""

_one = msgspec.json.Decoder(Item)
_many = msgspec.json.Decoder(list[Item])


def make_event(rng: random.Random, seq: int) -> Sent:
    """Make an event of `tests/conftest.py`'s schema."""
    fields: dict[str, Any] = {"speed": round(rng.uniform(0, 120), 3), "driver": "ann"}
    if rng.random() < 0.8:
        fields["load"] = round(rng.expovariate(0.01), 3)
    fields["road"] = rng.choice(["A1", "B2", "C3", None])
    fields["wet"] = rng.choice([True, False, None])
    return Sent(seq, fields, 1000.0 + 30.0 * seq + round(rng.uniform(0, 20), 3))


def event_of(sent: Sent, session: str | None = None) -> dict[str, Any]:
    """Return an event as it is sent."""
    made: dict[str, Any] = {"seq": sent.seq, "event": sent.event}
    if sent.time is not None:
        made["time"] = sent.time
    if sent.start:
        made["start"] = True
    if sent.end:
        made["end"] = True
    return made if session is None else {"session": session, **made}


def _of_row(row: Mapping[str, Any]) -> Item:
    """Return a row of an answer in Arrow as what JSON says, as far as it does."""
    if row["error_code"] is not None:
        error = {"code": row["error_code"], "message": row["error_message"]}
        if row["expected"] is not None:
            error["expected"] = row["expected"]
        return Item(error=error)
    answer = msgspec.json.encode([row["label"], row["probability"]])
    return Item(
        row["session"], row["seq"], row["time"], msgspec.Raw(answer), bool(row["duplicate"])
    )


class Stream:
    """A session's events, made one after the other from its own seed, and how far they got."""

    def __init__(self, name: str, seed: int, make: Callable[[random.Random, int], Sent]) -> None:
        self.name = name
        self.label = name
        self.answered = 0
        self.sent = 0
        self.broken = False
        self.pending: Sent | None = None  # what begins or ends a life, until it is answered
        self.deleting = False
        self._life = 0
        self._rng = random.Random(f"{seed}/{name}")
        self._make = make
        self._events: list[Sent] = []

    def event(self, seq: int) -> Sent:
        """Return the event of a number; the same each time it is asked for in one life."""
        while len(self._events) < seq:
            self._events.append(self._make(self._rng, len(self._events) + 1))
        return self._events[seq - 1]

    def end(self) -> None:
        """Let the next event be the last one."""
        last = self.event(self.answered + 1)
        self.pending = self._events[self.answered] = msgspec.structs.replace(last, end=True)

    def begin_anew(self) -> None:
        """Let a new life begin."""
        self._life += 1
        self.label = f"{self.name}{LIFE}{self._life}"
        self.answered = self.sent = 0
        self.deleting = False
        self._events = []
        first = self.event(1)
        self.pending = self._events[0] = msgspec.structs.replace(first, start=True)


class Client(threading.Thread):
    """One connection, which owns some sessions.

    Parameters
    ----------
    port : int
        Of the server, also after it was started again.
    history : History
        Takes every attempt.
    sessions : sequence of str
        Which nobody else numbers events of.
    seed : int
        Of its events and its choices.
    model : str
        Name of the model.
    mischief : float
        Share of requests that are repeats, wrong events, or events before their turn.
    lives : float
        Share of turns in which a session is begun anew, ended or deleted.
    most : int
        Sessions in one request.
    transports : sequence of str
        Some of `TRANSPORTS`.
    make : callable
        Makes an event from a random generator and its number.
    """

    def __init__(
        self,
        port: int,
        history: History,
        sessions: Sequence[str],
        seed: int,
        *,
        model: str = "small",
        mischief: float = 0.15,
        lives: float = 0.02,
        most: int = 12,
        transports: Sequence[str] = TRANSPORTS,
        make: Callable[[random.Random, int], Sent] = make_event,
    ) -> None:
        super().__init__(daemon=True)
        self.history = history
        self.unexpected: list[str] = []
        self.refused = 0  # requests, or events in one, that the server could not take
        self.broken_off = 0  # requests that were not answered
        self._stop_asked = threading.Event()
        self._stop_by = 0.0
        self._model = model
        self._mischief = mischief
        self._lives = lives
        self._most = most
        self._transports = transports
        self._port = port
        self._socket: WebSocket | None = None
        self._rng = random.Random(f"{seed}/{sessions[0]}")
        self._streams = [Stream(name, seed, make) for name in sessions]
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def stop(self) -> None:
        """Ask it to end after the request that it is at."""
        self._stop_by = time.monotonic() + 3.0
        self._stop_asked.set()

    @property
    def at_a_loss(self) -> bool:
        """Whether a session cannot go on: its next event is neither taken nor answered."""
        return any(stream.broken for stream in self._streams)

    def run(self) -> None:
        with contextlib.ExitStack() as ends:
            ends.callback(self._disconnect)
            while True:
                streams = self._active()
                if self._stop_asked.is_set():
                    # A life that is about to begin or to end: else nobody knew which one it is.
                    streams = [s for s in streams if s.deleting or s.pending is not None]
                    if time.monotonic() > self._stop_by:
                        return
                if not streams:
                    return
                try:
                    self._turn(streams)
                except BROKEN:
                    self.broken_off += 1
                    self._disconnect()
                    time.sleep(0.005)  # it is being started again
                except Exception as error:  # a thread's error would go unseen
                    self.unexpected.append(repr(error))
                    return

    def _active(self) -> Sequence[Stream]:
        return [stream for stream in self._streams if not stream.broken]

    def _disconnect(self) -> None:
        self._connection.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _turn(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            if stream.deleting:
                self._send_delete(stream)
                return
            if stream.pending is not None:
                self._send_one(stream, stream.pending)
                return
        stream = self._rng.choice(streams)
        choice = self._rng.random()
        if self._rng.random() < self._lives:
            self._turn_over(stream)
        elif choice < self._mischief:
            self._misbehave(stream)
        elif choice < self._mischief + 0.3:
            self._send_one(stream, stream.event(stream.answered + 1))
        elif choice < self._mischief + 0.5:
            following = range(stream.answered + 1, stream.answered + 1 + self._rng.randint(1, _RUN))
            self._send_list(stream, [stream.event(seq) for seq in following])
        else:
            chosen = self._rng.sample(streams, self._rng.randint(1, min(len(streams), self._most)))
            each = self._rng.randint(1, _RUN)
            items = [
                (each_of, each_of.event(seq))
                for each_of in chosen
                for seq in range(each_of.answered + 1, each_of.answered + 1 + each)
            ]
            self._send_items(items)

    def _turn_over(self, stream: Stream) -> None:
        """Begin a session anew, end it or delete it, in the turns that follow."""
        if not stream.answered or stream.sent > stream.answered:
            return  # an event that may have been applied is to be answered first
        how = self._rng.choice(["start", "end", "delete"])
        if how == "start":
            stream.begin_anew()
        elif how == "end":
            stream.end()
        else:
            stream.deleting = True

    def _send_delete(self, stream: Stream) -> None:
        attempt = self.history.began(stream.label, None, deletes=True)
        path = self._path(stream).removesuffix("/events")
        status, body = self._ask("DELETE", path, None)
        if status not in _LATER:
            self._expect(status, body)
            self.history.told(attempt, {"seq": _one.decode(body).seq})
            stream.begin_anew()

    def _misbehave(self, stream: Stream) -> None:
        """Repeat an event, send another one in its place, or one before its turn."""
        choice = self._rng.randint(1, 3)
        if choice == 1 or stream.answered == 0:
            self._send_one(stream, stream.event(stream.answered + self._rng.randint(2, _RUN)))
            return
        seq = max(stream.answered - self._rng.randint(0, 7), 1)
        sent = stream.event(seq)
        # Not what begins a life: to send that later would begin another one.
        event = {**sent.event, "speed": -1.0} if choice == 2 else sent.event
        self._send_one(stream, Sent(seq, event, sent.time))

    def _began(self, stream: Stream, sent: Sent) -> Attempt:
        stream.sent = max(stream.sent, sent.seq)
        return self.history.began(stream.label, sent)

    def _send_one(self, stream: Stream, sent: Sent) -> None:
        attempts = [self._began(stream, sent)]
        status, body = self._ask("POST", self._path(stream), msgspec.json.encode(event_of(sent)))
        if status not in _LATER:
            self._settle([stream], attempts, [_one.decode(body)])

    def _send_list(self, stream: Stream, events: Sequence[Sent]) -> None:
        attempts = [self._began(stream, sent) for sent in events]
        body = msgspec.json.encode([event_of(sent) for sent in events])
        status, body = self._ask("POST", self._path(stream), body)
        if status not in _LATER:
            self._expect(status, body)
            self._settle([stream] * len(events), attempts, _many.decode(body))

    def _send_items(self, items: Sequence[tuple[Stream, Sent]]) -> None:
        """Send events of several sessions by one of the transports."""
        attempts = [self._began(stream, sent) for stream, sent in items]
        how = self._rng.choice(self._transports)
        if how == "cut":
            self._send_cut(items)
            return
        if how == "arrow":
            told = self._send_arrow(items)
        elif how == "socket":
            told = self._send_frame(items)
        else:
            told = self._send_lines(items, chunked=how == "chunked")
        if told:
            self._settle([stream for stream, _ in items], attempts, told)

    def _send_lines(self, items: Sequence[tuple[Stream, Sent]], *, chunked: bool) -> list[Item]:
        body: Any = b"".join(self._lines(items))
        if chunked:
            cuts = sorted(self._rng.randint(0, len(body)) for _ in range(3))
            edges = zip([0, *cuts], [*cuts, len(body)], strict=True)
            body = iter([body[a:b] for a, b in edges if a < b])
        status, body = self._ask("POST", f"/v1/models/{self._model}/events", body)
        if status in _LATER:
            return []
        self._expect(status, body)
        told = [_one.decode(line) for line in body.splitlines()]
        # What breaks a body off stands in place of the lines from there on.
        broken_off = len(told) < len(items) and (told[-1].error or {}).get("code") in _UNSETTLED
        return told + [told[-1]] * (len(items) - len(told)) if broken_off else told

    def _send_cut(self, items: Sequence[tuple[Stream, Sent]]) -> None:
        """Break off a body anywhere: nobody is told what was applied of it."""
        body = b"".join(self._lines(items))
        body = body[: self._rng.randrange(len(body))]
        head = f"POST /v1/models/{self._model}/events HTTP/1.1\r\nHost: x\r\n"
        head += f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
        with socket.create_connection(("127.0.0.1", self._port), timeout=20) as connection:
            connection.sendall(head.encode() + body + b"\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):  # until it is done: nothing of it comes later
                pass

    def _send_frame(self, items: Sequence[tuple[Stream, Sent]]) -> list[Item]:
        if self._socket is None:
            self._socket = WebSocket(self._port, f"/v1/models/{self._model}/ws")
        self._socket.send(b"[" + b",".join(self._lines(items)) + b"]")
        told = self._socket.receive()
        if told.startswith(b"["):
            return _many.decode(told)
        error = _one.decode(told).error or {}
        if error.get("code") not in _UNSETTLED:
            raise AssertionError(told[:500])
        self._wait()
        return []

    def _send_arrow(self, items: Sequence[tuple[Stream, Sent]]) -> list[Item]:
        rows = [event_of(sent, stream.name) for stream, sent in items]
        columns = {name: [row.get(name) for row in rows] for name in ("session", "seq", "time")}
        for name in ("start", "end"):
            columns[name] = [row.get(name, False) for row in rows]
        for name in ARROW_FIELDS:
            columns[name] = [row["event"].get(name) for row in rows]
        types = {"time": pa.float64(), **ARROW_FIELDS}
        table = pa.table({n: pa.array(c, types.get(n)) for n, c in columns.items()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        path = f"/v1/models/{self._model}/events"
        kind = {"Content-Type": "application/vnd.apache.arrow.stream"}
        status, body = self._ask("POST", path, sink.getvalue().to_pybytes(), kind)
        if status in _LATER:
            return []
        self._expect(status, body)
        with pa.ipc.open_stream(body) as stream:
            return [_of_row(row) for row in stream.read_all().to_pylist()]

    def _lines(self, items: Sequence[tuple[Stream, Sent]]) -> list[bytes]:
        return [msgspec.json.encode(event_of(sent, stream.name)) + b"\n" for stream, sent in items]

    def _path(self, stream: Stream) -> str:
        return f"/v1/models/{self._model}/sessions/{quote(stream.name, safe='')}/events"

    def _ask(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, bytes]:
        self._connection.request(method, path, body, dict(headers))
        response = self._connection.getresponse()
        content = response.read()
        if response.status in _LATER:
            self._wait()
        return response.status, content

    def _wait(self) -> None:
        self.refused += 1
        time.sleep(0.005)

    def _expect(self, status: int, body: bytes) -> None:
        if status != 200:
            raise AssertionError(f"{status}: {body[:500]!r}")

    def _settle(
        self, streams: Sequence[Stream], attempts: Sequence[Attempt], told: Sequence[Item]
    ) -> None:
        if len(attempts) != len(told):
            raise AssertionError(f"{len(told)} answers to {len(attempts)} events")
        for stream, attempt, item in zip(streams, attempts, told, strict=True):
            assert attempt.sent is not None
            if bytes(item.answer):
                said = {"session": item.session, "seq": item.seq, "time": item.time}
                if item.duplicate:
                    said["duplicate"] = True
                self.history.answered(attempt, bytes(item.answer), said)
                if attempt.sent.seq == stream.answered + 1:
                    stream.answered += 1
                if attempt.sent is stream.pending:
                    stream.pending = None
                    if attempt.sent.end:
                        stream.begin_anew()
                continue
            error: Mapping[str, Any] = item.error or {}
            code = error.get("code")
            if code in _UNSETTLED:
                self.refused += 1
                continue
            self.history.told(attempt, {k: error[k] for k in ("code", "expected") if k in error})
            if code == "session_ended" and attempt.sent.end:
                stream.broken = True
                continue
            if code not in ("seq_gap", "seq_stale", "payload_conflict", "previous_failed"):
                raise AssertionError(f"{stream.name}/{attempt.sent.seq}: {error}")
            if attempt.sent == stream.event(stream.answered + 1) and code != "previous_failed":
                stream.broken = True  # the checker says what it means
