"""Clients for volume: bulk requests over a great many sessions, few of which are busy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from faults.clients import Client, Stream, make_event
from faults.history import History, Sent

__all__ = ["Volume"]

_POOL = 4096
_AHEAD = 6
"""Events of a session in one request: fewer than the answers that are kept for retries."""


class _Pooled(Stream):
    """A stream of events that are not made until they are sent, of fields that others have too."""

    def __init__(self, name: str, seed: int, pool: Sequence[Sent]) -> None:
        self.name = self.label = name
        self.answered = self.sent = 0
        self.broken = False
        self.pending = None
        self.deleting = False
        self._pool = pool
        self._at = seed * 7919

    def event(self, seq: int) -> Sent:
        found = self._pool[(self._at + seq * 613) % _POOL]
        return Sent(seq, found.event, found.time and found.time + 30.0 * seq)


class Volume(Client):
    """One connection, whose sessions are as active as Zipf's law has it.

    Parameters
    ----------
    port, history, seed
        As of `Client`.
    name : str
        What its sessions' names begin with.
    sessions : int
        How many there are.
    events : int
        How many are in one request.
    exponent : float
        Of the law: the n-th session has a share of n to the power of minus this.
    """

    def __init__(
        self,
        port: int,
        history: History,
        seed: int,
        *,
        name: str,
        sessions: int,
        events: int = 400,
        exponent: float = 0.9,
        **options: Any,
    ) -> None:
        super().__init__(port, history, [name], seed, **options)
        pool = random.Random(seed)
        self._pool = [make_event(pool, 1) for _ in range(_POOL)]
        shares = np.cumsum(np.arange(1, sessions + 1) ** -exponent)
        self._shares = shares / shares[-1]
        self._draws = np.random.default_rng([seed, *name.encode()])
        self._name = name
        self._events = events
        self._known: dict[int, Stream] = {}
        self._broken = False

    def _active(self) -> Sequence[Stream]:
        return () if self._broken or self._stop_asked.is_set() else self._streams

    def _turn(self, streams: Sequence[Stream]) -> None:
        ranks = np.searchsorted(self._shares, self._draws.random(self._events))
        items = []
        for rank, count in zip(*np.unique(ranks, return_counts=True), strict=True):
            stream = self._stream(int(rank))
            first = stream.answered + 1
            items += [
                (stream, stream.event(seq)) for seq in range(first, first + min(count, _AHEAD))
            ]
            self._broken = self._broken or stream.broken
        self._send_items(items)

    def _stream(self, rank: int) -> Stream:
        stream = self._known.get(rank)
        if stream is None:
            stream = _Pooled(f"{self._name}-{rank}", rank, self._pool)
            self._known[rank] = stream
        return stream
