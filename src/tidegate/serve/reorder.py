"""The reorder window: events that came before their turn wait a little for those they follow."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

__all__ = ["Window"]

_T = TypeVar("_T")


class Window(Generic[_T]):
    """Holds events whose number is too large, until their turn or for a bounded time.

    No I/O and no clock: times are what the caller says they are.

    Parameters
    ----------
    seconds : float
        How long an event may wait.
    most : int
        How many of one session may.

    Examples
    --------
    >>> window = Window(0.5, 2)
    >>> window.hold("a", 4, 3, 0.0, "fourth"), window.hold("a", 3, 2, 0.1, "third")
    (True, True)
    >>> window.hold("a", 9, 3, 0.1, "ninth")
    False
    >>> window.release("a", 3), window.release("a", 4), len(window)
    ('third', 'fourth', 0)
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._held: dict[str, dict[int, tuple[float, _T]]] = {}
        self._until: list[tuple[float, str, int]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, session: str) -> bool:
        return session in self._held

    def hold(self, session: str, seq: int, expected: int, now: float, event: _T) -> bool:
        """Take an event in, if there is room and its turn may come.

        Parameters
        ----------
        session : str
            Whose.
        seq, expected : int
            Its number, and the one that would have been accepted.
        now : float
            Seconds.
        event : object
            What `release` gives back.

        Returns
        -------
        bool
            False: refuse it. The window is full, the number is too far ahead, or another event
            waits under it.
        """
        held = self._held.get(session, {})
        if len(held) >= self._most or seq - expected > self._most or seq in held:
            return False
        until = now + self._seconds
        self._held.setdefault(session, held)[seq] = until, event
        self._count += 1
        heapq.heappush(self._until, (until, session, seq))
        return True

    def release(self, session: str, seq: int) -> _T | None:
        """Give back the event of a session that waits under a number, if one does."""
        held = self._held.get(session)
        if held is None or seq not in held:
            return None
        _, event = held.pop(seq)
        self._count -= 1
        if not held:
            del self._held[session]
        return event

    def overdue(self, now: float) -> list[_T]:
        """Give back the events that have waited for too long, the longest first."""
        found = []
        while self._until and self._until[0][0] <= now:
            until, session, seq = heapq.heappop(self._until)
            held = self._held.get(session, {}).get(seq)
            if held is not None and held[0] == until:  # else another event waits under that number
                found.append(held[1])
                self.release(session, seq)
        return found

    def next_due(self) -> float | None:
        """Return when the next event will have waited for too long."""
        return self._until[0][0] if self._until else None
