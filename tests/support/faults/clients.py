"""Clients that number their events and send them again until each is answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from faults.history import Attempt, History, Sent

__all__ = ["BROKEN", "Client", "Item", "event_of", "make_event"]

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
    return made if session is None else {"session": session, **made}


class _Stream:
    """A session's events, made one after the other from its own seed."""

    def __init__(self, name: str, seed: int, make: Callable[[random.Random, int], Sent]) -> None:
        self.name = name
        self.answered = 0
        self.broken = False
        self._rng = random.Random(f"{seed}/{name}")
        self._make = make
        self._events: list[Sent] = []

    def event(self, seq: int) -> Sent:
        while len(self._events) < seq:
            self._events.append(self._make(self._rng, len(self._events) + 1))
        return self._events[seq - 1]


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
    most : int
        Sessions in one request.
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
        most: int = 12,
        make: Callable[[random.Random, int], Sent] = make_event,
    ) -> None:
        super().__init__(daemon=True)
        self.history = history
        self.unexpected: list[str] = []
        self.refused = 0  # requests, or events in one, that the server could not take
        self.broken_off = 0  # requests that were not answered
        self._stop_asked = threading.Event()
        self._model = model
        self._mischief = mischief
        self._most = most
        self._rng = random.Random(f"{seed}/{sessions[0]}")
        self._streams = [_Stream(name, seed, make) for name in sessions]
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def stop(self) -> None:
        """Ask it to end after the request that it is at."""
        self._stop_asked.set()

    def run(self) -> None:
        with contextlib.closing(self._connection):
            while not self._stop_asked.is_set():
                streams = [stream for stream in self._streams if not stream.broken]
                if not streams:
                    return
                try:
                    self._turn(streams)
                except BROKEN:
                    self.broken_off += 1
                    self._connection.close()
                    self._stop_asked.wait(0.005)  # it is being started again
                except Exception as error:  # a thread's error would go unseen
                    self.unexpected.append(repr(error))
                    return

    def _turn(self, streams: Sequence[_Stream]) -> None:
        stream = self._rng.choice(streams)
        choice = self._rng.random()
        if choice < self._mischief:
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
            self._send_lines(items)

    def _misbehave(self, stream: _Stream) -> None:
        """Repeat an event, send another one in its place, or one before its turn."""
        choice = self._rng.randint(1, 3)
        if choice == 1 or stream.answered == 0:
            self._send_one(stream, stream.event(stream.answered + self._rng.randint(2, _RUN)))
            return
        seq = max(stream.answered - self._rng.randint(0, 7), 1)
        sent = stream.event(seq)
        if choice == 2:
            sent = Sent(seq, {**sent.event, "speed": -1.0}, sent.time)
        self._send_one(stream, sent)

    def _send_one(self, stream: _Stream, sent: Sent) -> None:
        attempts = [self.history.began(stream.name, sent)]
        status, body = self._post(self._path(stream), json.dumps(event_of(sent)).encode())
        if status != 503:
            self._settle([stream], attempts, [_one.decode(body)])

    def _send_list(self, stream: _Stream, events: Sequence[Sent]) -> None:
        attempts = [self.history.began(stream.name, sent) for sent in events]
        body = json.dumps([event_of(sent) for sent in events]).encode()
        status, body = self._post(self._path(stream), body)
        if status != 503:
            self._expect(status, body)
            self._settle([stream] * len(events), attempts, _many.decode(body))

    def _send_lines(self, items: Sequence[tuple[_Stream, Sent]]) -> None:
        attempts = [self.history.began(stream.name, sent) for stream, sent in items]
        lines = [json.dumps(event_of(sent, stream.name)) for stream, sent in items]
        body = ("\n".join(lines) + "\n").encode()
        status, body = self._post(f"/v1/models/{self._model}/events", body)
        if status != 503:
            self._expect(status, body)
            told = [_one.decode(line) for line in body.splitlines()]
            self._settle([stream for stream, _ in items], attempts, told)

    def _path(self, stream: _Stream) -> str:
        return f"/v1/models/{self._model}/sessions/{quote(stream.name, safe='')}/events"

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        self._connection.request("POST", path, body)
        response = self._connection.getresponse()
        content = response.read()
        if response.status == 503:
            self.refused += 1
            self._stop_asked.wait(0.005)
        return response.status, content

    def _expect(self, status: int, body: bytes) -> None:
        if status != 200:
            raise AssertionError(f"{status}: {body[:500]!r}")

    def _settle(
        self, streams: Sequence[_Stream], attempts: Sequence[Attempt], told: Sequence[Item]
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
                continue
            error: Mapping[str, Any] = item.error or {}
            code = error.get("code")
            if code in _UNSETTLED:
                self.refused += 1
                continue
            self.history.told(attempt, {k: error[k] for k in ("code", "expected") if k in error})
            if code not in ("seq_gap", "seq_stale", "payload_conflict", "previous_failed"):
                raise AssertionError(f"{stream.name}/{attempt.sent.seq}: {error}")
            if attempt.sent is stream.event(stream.answered + 1) and code != "previous_failed":
                stream.broken = True  # the checker says what it means
